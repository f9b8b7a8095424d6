"""GraphCover: the image from which a walk on the pool's graph reaches most that nothing else reaches."""

from selection.strategies.graphcover.selector import GraphCover

__all__ = ["GraphCover"]
