"""Every parameter of every selector has a test of its range: a new one without it fails here.

A selector's own test file (test_NAME.py) may hold its values as `OUT_OF_RANGE = {parameter: [values]}`.
"""

from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

import selection
from selection import BadParameter, Pool, parameters

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


def numbers():
    """(selector, parameter, what the schema says of it) of all parameters that are numbers."""
    schemas = {name: selection.schema(name) for name in selection.names()}
    kinds = ("int", "float")
    return [(n, p, said) for n, s in schemas.items() for p, said in s.items() if any(k in said["type"] for k in kinds)]


NUMBERS = [item for item in numbers() if item[:2] != ("mix", "parts")]  # strengths have their own test
SLOW = "activeft"  # ten thousand steps of which take ten seconds


@pytest.mark.parametrize(("name", "parameter", "said"), NUMBERS)
def test_every_number_has_a_stated_end_and_is_refused_beyond_it(name, parameter, said):
    """(10-A5) With iterations=10**12 a learning round never ended."""
    assert said["minimum"] <= said["default"] <= said["maximum"] <= 1_000_000 and said["reason"]
    beyond = [said["maximum"] + 1, 10**12, 10**400, 10**5000, 1e308, float("inf"), float("-inf"), float("nan")]
    for value in beyond:
        with pytest.raises(BadParameter, match=rf"^{parameter} must be a (whole )?number from .* to .*, got ") as told:
            selection.create(name, **{parameter: value})
        assert len(str(told.value)) < 200
    assert selection.create(name, **{parameter: said["maximum"]})


@pytest.mark.parametrize("value", [1e308, 10**400, float("inf"), float("nan"), 0, -1])
def test_strengths_of_a_mix_have_ends(value):
    with pytest.raises(BadParameter, match="strength of margin must be a number from 1e-06 to 1,000,000"):
        selection.create("mix", parts={"margin": value})


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [(n, p, said[end]) for n, p, said in NUMBERS for end in ("minimum", "maximum") if said[end] != 10_000 or n != SLOW],
)
def test_the_ends_of_a_range_work(name, parameter, value):
    rng = np.random.default_rng(0)
    labels = np.array([0, 1, 2, 0] + [-1] * 12)
    pool = Pool(rng.standard_normal((16, 4)).astype(np.float32), labels, rng.dirichlet(np.ones(3), 16))
    ranking = selection.create(name, **{parameter: value}).select(pool, 3, rng)
    assert len(set(ranking.rows.tolist())) == 3 and np.isfinite(ranking.scores).all()


def test_a_rival_that_was_picked_a_thousand_times_keeps_a_finite_score():
    """BiLAF's penalty is raised to the number of picks: 100**155 is beyond what a float holds."""
    rng = np.random.default_rng(0)
    pool = Pool(rng.standard_normal((800, 4)).astype(np.float32), np.full(800, -1))
    ranking = selection.create("bilaf", cores=2, core="coreset", penalty=100).select(pool, 700, rng)
    assert len(set(ranking.rows.tolist())) == 700 and np.isfinite(ranking.scores).all()


@pytest.mark.parametrize("device", ["cuda:" + "9" * 5000, "cuda:\u0663", "cuda:-1", "cuda:1000"])
def test_a_device_number_is_a_short_one(device):
    with pytest.raises(BadParameter, match="device"):
        parameters.device(device)
