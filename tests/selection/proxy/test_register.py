"""The heads are found by name."""

import pytest

from selection import BadParameter
from selection.proxy.heads import register
from selection.proxy.heads.blend import PRIOR_WEIGHTS


def test_all_heads_are_registered_and_those_that_auto_pools_are_among_them():
    assert register.names() == ["linear", "mlp", "smooth", "spread"]
    assert set(PRIOR_WEIGHTS) <= set(register.names())


def test_an_unknown_head_is_refused_with_the_known_names():
    with pytest.raises(BadParameter, match="no head of kind 'forest'; known: linear, mlp, smooth, spread, auto"):
        register.entry("forest")
