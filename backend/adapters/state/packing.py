"""What a ranking was made of, as a row: settings as JSON, arrays as one compressed block."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from numpy.typing import NDArray

from backend.adapters.state.values import AnyRow, as_written
from backend.core.domain import Inputs


def pack(inputs: Inputs) -> dict[str, object]:
    """Columns "terms" and "rows"; a million tasks with 20,000 labels are about 100 kB, made in 0.2 s."""
    arrays: dict[str, NDArray[np.generic]] = {
        "steps": np.diff(inputs.task_ids, prepend=0),  # ids in a row are all ones
        "labels": inputs.labels.astype(np.int32),
        "audit": np.packbits(inputs.audit),
    }
    if inputs.present is not None:
        arrays["present"] = np.packbits(inputs.present[inputs.labels >= 0])
    if inputs.graph is not None:
        arrays["graph"] = np.packbits(inputs.graph)
    block = io.BytesIO()
    np.savez_compressed(block, allow_pickle=False, **arrays)
    terms = {
        "horizon": inputs.horizon,
        "batch": inputs.batch,
        "audit_share": inputs.audit_share,
        "classes": list(inputs.classes),
        "vectors": inputs.vectors,
        "machine": dict(inputs.machine),
    }
    return {"terms": terms, "rows": block.getvalue()}


@as_written
def inputs(row: AnyRow) -> Inputs:
    """The inverse of `pack`."""
    terms = dict(row.terms)
    try:
        with np.load(io.BytesIO(row.rows), allow_pickle=False) as arrays:
            task_ids = np.cumsum(arrays["steps"])
            labels = arrays["labels"].astype(np.int64)
            audit, graph = (
                np.unpackbits(arrays[name], count=len(task_ids)).astype(bool) if name in arrays else None
                for name in ("audit", "graph")
            )
            classes = tuple(terms.pop("classes"))
            present = None
            if "present" in arrays:
                present = np.zeros((len(labels), len(classes)), bool)
                known = labels >= 0
                shape = (int(known.sum()), len(classes))
                present[known] = np.unpackbits(arrays["present"], count=shape[0] * shape[1]).reshape(shape)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(str(error)) from error
    if audit is None or labels.shape != task_ids.shape:
        raise ValueError("its arrays do not fit together")
    return Inputs(task_ids=task_ids, labels=labels, audit=audit, graph=graph, classes=classes, present=present, **terms)
