"""Choose which images to label next, from pre-computed features. Arrays in, arrays out."""

from selection.checks import Report, check
from selection.contract import (
    LABELED,
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
    WrongForm,
)
from selection.rank import rank
from selection.registry import create, entry, has, names, register, schema, takes
from selection.thin import thin

__all__ = [
    "LABELED",
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
    "WrongForm",
    "check",
    "create",
    "entry",
    "has",
    "names",
    "rank",
    "register",
    "schema",
    "takes",
    "thin",
]
