"""BiLAF: representative cores first, then rows on the borders between their pseudo-classes."""

from selection.strategies.bilaf.selector import BiLAF

__all__ = ["BiLAF"]
