"""Every parameter of every selector has a test of its range: a new one without it fails here.

A selector's own test file (test_NAME.py) may hold its values as `OUT_OF_RANGE = {parameter: [values]}`.
"""

from importlib import import_module
from importlib.util import find_spec

import pytest

import selection
from selection import BadParameter

COUNT = [0, -1, 1.5, True, "3", None]
SIZE = [-1, 1.5, True, "3", None]
NAME = ["", "two words", 3, None]
DEVICE = ["tpu", "cuda:x", "", 0, None]
POSITIVE = [-1.0, float("nan"), float("inf"), "1", None]
FLAG = [1, "yes", None]

OUT_OF_RANGE = {
    "activeft": {
        "iterations": SIZE,
        "rate": POSITIVE,
        "temperature": POSITIVE,
        "balance": [-1.0, float("nan"), "1", None],
        "batch": COUNT,
        "rows_per_step": SIZE,
        "precision": ["float8", 16, None],
        "device": DEVICE,
    },
    "auto": {
        "cold": [*NAME, "auto"],
        "warm": [*NAME, "auto"],
        "labels_per_class": COUNT,
        "device": DEVICE,
    },
    "badge": {"device": DEVICE},
    "bilaf": {
        "core": NAME,
        "cores": COUNT,
        "inner": [-0.1, 1.1, float("nan"), "1", None],
        "removed": [-0.1, 1.1, float("nan"), "1", None],
        "neighbors": COUNT,
        "penalty": [-1.0, float("nan"), "1", None],
        "compat": ["other", None],
        "device": DEVICE,
    },
    "coreset": {"device": DEVICE},
    "diverse": {
        "score": [*NAME, "diverse"],
        "percentile": [-1.0, 100.1, float("nan"), "5", None],
        "reach": COUNT,
        "device": DEVICE,
    },
    "graphcover": {
        "neighbors": COUNT,
        "dims": COUNT,
        "alpha": [-0.1, 1.0, float("nan"), "1", None],
        "steps": COUNT,
        "keep": COUNT,
        "device": DEVICE,
    },
    "entropy": {"fallback": NAME, "device": DEVICE},
    "kmeans": {"max_clusters": COUNT, "iterations": SIZE, "normalize": FLAG, "device": DEVICE},
    "least_confidence": {"fallback": NAME, "device": DEVICE},
    "margin": {"fallback": NAME, "device": DEVICE},
    "mix": {
        "parts": [{}, {"mix": 1}, {"margin": 0}, {"margin": "1"}, {"two words": 1}, ["margin"], None],
        "reach": COUNT,
        "device": DEVICE,
    },
    "probcover": {
        "delta": [-0.1, 2.1, float("nan"), "1", None],
        "purity": [-0.1, 1.1, float("nan"), "1", None],
        "clusters": SIZE,
        "device": DEVICE,
    },
    "random": {},
    "typiclust": {
        "max_clusters": COUNT,
        "neighbors": COUNT,
        "smallest": SIZE,
        "references": [*COUNT, 1],
        "iterations": SIZE,
        "normalize": FLAG,
        "device": DEVICE,
    },
}

for _name in selection.names():
    _own = f"tests.selection.test_{_name}"
    if _name not in OUT_OF_RANGE and find_spec(_own) is not None:
        OUT_OF_RANGE[_name] = getattr(import_module(_own), "OUT_OF_RANGE", {})


@pytest.mark.parametrize("name", selection.names())
def test_every_parameter_has_values_out_of_its_range(name):
    assert set(OUT_OF_RANGE.get(name, {})) == set(selection.schema(name)), "add its values to OUT_OF_RANGE"


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [(n, p, v) for n, params in OUT_OF_RANGE.items() for p, values in params.items() for v in values],
)
def test_a_value_out_of_range_is_refused_by_name(name, parameter, value):
    with pytest.raises(BadParameter, match=rf"\b{parameter}\b"):
        selection.create(name, **{parameter: value})
