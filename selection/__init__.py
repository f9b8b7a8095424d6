"""Choose which images to label next, from pre-computed features. Arrays in, arrays out."""

from selection.checks import Report, check
from selection.contract import (
    SKIPPED,
    UNLABELED,
    BadParameter,
    BadPool,
    BadVector,
    MissingProbabilities,
    Notes,
    Pool,
    Ranking,
    SelectionError,
    Selector,
    Sorts,
    UnknownSelector,
)
from selection.rank import rank
from selection.registry import create, entry, has, names, register, schema
from selection.thin import thin

__all__ = [
    "SKIPPED",
    "UNLABELED",
    "BadParameter",
    "BadPool",
    "BadVector",
    "MissingProbabilities",
    "Notes",
    "Pool",
    "Ranking",
    "Report",
    "SelectionError",
    "Selector",
    "Sorts",
    "UnknownSelector",
    "check",
    "create",
    "entry",
    "has",
    "names",
    "rank",
    "register",
    "schema",
    "thin",
]
