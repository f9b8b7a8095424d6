"""ProbCover: the image whose ball holds most images that no ball holds yet."""

from selection.strategies.probcover.selector import ProbCover

__all__ = ["ProbCover"]
