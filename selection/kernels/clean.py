"""Rows that no geometric method can use: not finite, zero, or exact copies of another row."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadVector, FloatArray, IntArray, Pool
from selection.kernels.blocks import block_rows, blocks, tensor


def bad_rows(features: FloatArray) -> tuple[IntArray, IntArray]:
    """(rows not finite or beyond float32's range, rows of zero length); one pass."""
    n, d = features.shape
    lengths = np.empty(n, np.float32)
    for part in blocks(n, block_rows(4 * d)):
        x = tensor(features[part])
        lengths[part] = (x * x).sum(1).numpy()
    return np.flatnonzero(~np.isfinite(lengths)), np.flatnonzero(lengths == 0)


def require_finite(pool: Pool) -> None:
    """Raise `BadVector` with the first row whose features or probabilities are not finite."""
    broken, _ = bad_rows(pool.features)
    if len(broken):
        raise BadVector(int(broken[0]), "features")
    if pool.probs is not None:
        require_finite_probs(pool.probs)


def require_finite_probs(probs: NDArray[Any]) -> None:
    """Raise `BadVector` with the first row of `probs` that is not finite."""
    for part in blocks(len(probs), block_rows(8 * max(1, probs.shape[1]))):
        broken = np.flatnonzero(~np.isfinite(probs[part]).all(1))
        if len(broken):
            raise BadVector(int(broken[0]) + part.start, "probs")


def representatives(features: FloatArray) -> IntArray:
    """For each row the lowest row with the same bytes: (n, d) -> (n,). One pass; 16 bytes of digest a row."""
    n, d = features.shape
    digests = np.empty(n, "V16")
    for part in blocks(n, block_rows(features.itemsize * d)):
        rows = np.ascontiguousarray(features[part]) + 0  # -0.0 + 0 is 0.0: both zeros are one value
        digests[part] = np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=16).digest() for row in rows), "V16")
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)
