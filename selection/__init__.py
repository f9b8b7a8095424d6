"""Choose which images to label next, from pre-computed features. Arrays in, arrays out."""

from selection.contract import (
    SKIPPED,
    UNLABELED,
    BadParameter,
    BadPool,
    BadVector,
    MissingProbabilities,
    Pool,
    Ranking,
    SelectionError,
    Selector,
    UnknownSelector,
)
from selection.registry import create, entry, names, register, schema

__all__ = [
    "SKIPPED",
    "UNLABELED",
    "BadParameter",
    "BadPool",
    "BadVector",
    "MissingProbabilities",
    "Pool",
    "Ranking",
    "SelectionError",
    "Selector",
    "UnknownSelector",
    "create",
    "entry",
    "names",
    "register",
    "schema",
]
