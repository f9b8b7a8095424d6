"""Rows that no geometric method can use: not finite, zero, or exact copies of another row."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selection.contract import BadVector, FloatArray, IntArray, MissingProbabilities, Pool
from selection.kernels.blocks import block_rows, blocks, tensor

SUM_TOLERANCE = 1e-2


def bad_rows(features: FloatArray) -> tuple[IntArray, IntArray]:
    """(rows not finite or beyond float32's range, rows of zero length); one pass."""
    n, d = features.shape
    lengths = np.empty(n, np.float32)
    for part in blocks(n, block_rows(4 * d)):
        x = tensor(features[part])
        lengths[part] = (x * x).sum(1).numpy()
    if not d:
        return np.empty(0, np.int64), np.arange(n)
    return np.flatnonzero(~np.isfinite(lengths)), np.flatnonzero(lengths == 0)


def bad_probs(probs: NDArray[Any], form: str = "one") -> IntArray:
    """Rows that are no distribution: not finite, negative, or with a sum off 1 by over a hundredth.

    form : "set" for independent presences, each of which must lie in [0, 1]; their sum is free.
    """
    bad = np.zeros(len(probs), bool)
    for part in blocks(len(probs), block_rows(8 * max(1, probs.shape[1]))):
        p = probs[part].astype(np.float64)
        with np.errstate(invalid="ignore"):
            fits = p.max(1, initial=0.0) <= 1.0 if form == "set" else np.abs(p.sum(1) - 1.0) <= SUM_TOLERANCE
            bad[part] = ~fits | ~(p >= 0).all(1)
    return np.flatnonzero(bad)


def require_finite(pool: Pool) -> None:
    """Raise `BadVector` with the first row of the features that is not finite."""
    broken, _ = bad_rows(pool.features)
    if len(broken):
        raise BadVector(int(broken[0]), "features")


def require_probs(pool: Pool, method: str) -> NDArray[Any]:
    """The pool's probabilities; raises `MissingProbabilities`, or `BadVector` with the first row that is none."""
    if pool.probs is None:
        raise MissingProbabilities(f"{method} needs class probabilities: give Pool(..., probs=(n, c) array)")
    bad = bad_probs(pool.probs, pool.form)
    if len(bad):
        finite = np.isfinite(pool.probs[bad[0]]).all()
        wrong = "does not sum to 1" if pool.form == "one" else "leaves the range 0 to 1"
        raise BadVector(int(bad[0]), "probs", wrong if finite else "is not finite")
    return pool.probs


def representatives(features: FloatArray) -> IntArray:
    """For each row the lowest row with the same bytes: (n, d) -> (n,). One pass; 16 bytes of digest a row."""
    n, d = features.shape
    digests = np.empty(n, "V16")
    for part in blocks(n, block_rows(features.itemsize * d)):
        rows = np.ascontiguousarray(features[part]) + 0  # -0.0 + 0 is 0.0: both zeros are one value
        digests[part] = np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=16).digest() for row in rows), "V16")
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    lowest: IntArray = first[group].astype(np.int64)
    return lowest
