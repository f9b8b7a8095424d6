"""Commands to take a model away and to use it: export, predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import base

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backend.core.json_values import JSON


def export(
    project: base.ProjectId,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder to write; new, or an earlier export.")],
    as_json: base.AsJson = False,
) -> None:
    """Write the project's model (plain timm weights, ONNX, model card), labels and rankings to a folder.

    The model is the linear head on the project's features; it needs no service: labelqueue predict DIR IMAGES...

    Example: labelqueue export 3 --to model/
    """
    from backend.core.replay.export import package
    from backend.engine.export.files import export_files

    made = base.settings()
    opened = base.services(made)
    packed = package(opened, base.find(opened, project))
    told = export_files(packed, to, backbone=made.backbone, pixels=made.image_size, storage_url=made.storage_url)
    found = packed.report
    if as_json:
        files = sorted(path.name for path in to.iterdir())
        accuracy = {"accuracy": found.accuracy, "low": found.low, "high": found.high, "labels": found.labels}
        base.print_json({"folder": str(to), "files": files, "notes": told, **accuracy})
        return
    out = base.console()
    known = found.accuracy
    judged = f"{known:.1%} of held-out labels right" if known is not None else "accuracy not measured: too few labels"
    out.print(
        f"Wrote a model of {len(packed.classes)} classes to {to} ({judged}); see {to / 'README.md'}", markup=False
    )
    for text in told:
        out.print(f"Note: {text}", markup=False)


def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that labelqueue export wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.")],
    as_json: base.AsJson = False,
) -> None:
    """Classify images with an exported model; needs the folder only. Exit status 1 if an image cannot be read.

    Example: labelqueue predict model/ photos/*.jpg
    """
    from backend.adapters.images.formats import SUFFIXES
    from backend.engine.export.model import find_images, open_exported

    opened = open_exported(folder)
    found = find_images(images, SUFFIXES)
    bad = 0
    listed: list[dict[str, JSON]] = []
    for path, result in opened.predict(found):
        failed = isinstance(result, str)
        bad += failed
        if as_json:
            answer = {"reason": result} if isinstance(result, str) else _answer(opened.classes, result)
            listed.append({"image": str(path), **answer})
        elif isinstance(result, str):
            base.columns(str(path), f"cannot be read: {result}", err=True)
        else:
            best = int(result.argmax())
            base.columns(str(path), opened.classes[best], f"{result[best]:.4f}")
    if as_json:
        base.print_json(listed)
    if not found:
        base.tell("no images found", err=True)
    raise typer.Exit(1 if bad or not found else 0)


def _answer(classes: tuple[str, ...], probs: NDArray[np.float32]) -> dict[str, JSON]:
    best = int(probs.argmax())
    probabilities = {name: round(float(value), 6) for name, value in zip(classes, probs, strict=True)}
    return {"class": classes[best], "probability": round(float(probs[best]), 6), "probabilities": probabilities}
