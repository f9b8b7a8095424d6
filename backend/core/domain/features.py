"""Vectors of images, and what made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBatch:
    """Vectors to store: task_ids (n,) int64, vectors (n, d) float16, digests n hex strings of the image bytes."""

    task_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]
    digests: Sequence[str]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """All features of a version: task_ids (n,) int64 ascending and distinct, vectors (n, d) float16."""

    task_ids: NDArray[np.int64]
    vectors: NDArray[np.float16]

    @cached_property
    def digest(self) -> str:
        """Of the vectors' bytes; computed at the first call (1M x 384: 0.7 s)."""
        return hashlib.sha256(np.ascontiguousarray(self.vectors).data).hexdigest()[:16]

    def only(self, rows: NDArray[np.bool_]) -> FeatureTable:
        """The table of these rows (n,), a copy unless it is all of them."""
        return self if rows.all() else FeatureTable(self.task_ids[rows], self.vectors[rows])


@dataclass(frozen=True, slots=True)
class Backbone:
    """What made a set of features: enough to refuse mixing it with another's."""

    name: str
    digest: str  # of the weights
    dims: int
    pixels: int  # side of the square input

    @property
    def tag(self) -> str:
        """What a feature version is compared by."""
        return f"{self.name}@{self.digest[:12]}/{self.pixels}px"


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """One task's vector (d,) float16 and the digest of its bytes; `note`: which of its images could not be read."""

    task_id: int
    vector: NDArray[np.float16]
    digest: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """One task that could not be embedded, with the reason in words.

    `unanswered`: Label Studio did not hand out an image of it, which may be no fault of the image.
    """

    task_id: int
    reason: str
    unanswered: bool = False
