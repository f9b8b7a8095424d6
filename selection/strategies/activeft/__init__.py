"""ActiveFT: as many free centroids as picks, drawn to the pool and pushed off each other."""

from selection.strategies.activeft.selector import ActiveFT

__all__ = ["ActiveFT"]
