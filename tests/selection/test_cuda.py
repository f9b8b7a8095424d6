"""The same code runs on CUDA: every strategy that takes a device picks there what it picks on the CPU."""

import numpy as np
import pytest
import torch

from selection import Pool, create, names, schema

ON_DEVICE = [name for name in names() if "device" in schema(name)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("covered", [[], [3, 77, 401]])
@pytest.mark.parametrize("name", ON_DEVICE)
def test_picks_on_cuda_are_those_on_the_cpu(name: str, covered: list[int]) -> None:
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(8, 160))
    features = (centers[rng.integers(8, size=600)] * 2 + rng.normal(size=(600, 160))).astype(np.float32)
    labels = np.full(600, -1, np.int64)
    labels[covered] = 0
    pool = Pool(features, labels, rng.dirichlet(np.ones(4), size=600))
    here, there = (
        create(name, device=device).select(pool, 40, np.random.default_rng(1)).rows for device in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(there, here)


def test_the_geometric_strategies_take_a_device() -> None:
    assert {"activeft", "badge", "bilaf", "coreset", "graphcover", "probcover", "typiclust"} <= set(ON_DEVICE)
