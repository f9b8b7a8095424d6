"""The model card of an exported model, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from backend.core.domain import AuditAccuracy, LearningReport
from backend.core.replay.export import Package

USE = """```python
import json, timm, torch
from PIL import Image
from safetensors.torch import load_file

config = json.load(open("config.json"))
model = timm.create_model(**config["timm"])
model.load_state_dict(load_file("model.safetensors"))
prepare = timm.data.create_transform(**config["preprocessing"])
image = prepare(Image.open("image.jpg").convert("RGB"))
probabilities = model.eval()(image[None]).softmax(1)
```"""


def card(package: Package, backbone: str, pixels: int, versions: Mapping[str, str], onnx: str) -> str:
    """The text; `onnx` is why there is no ONNX file, or ""."""
    project, report = package.project, package.report
    trained = sum(package.counts.values())
    parts = [
        f"# {_plain(project.title) or f'Project {project.ls_id}'}: image classifier",
        f"{len(package.classes)} classes, {backbone} at {pixels} px with a linear head, from {trained} labels. "
        f"Exported {_day(package.at)} by LabelQueue {versions['labelqueue']}.",
        "## Data",
        _table(("class", "labels trained on", "recall out of fold"), _classes(package)),
        f"{package.tasks} tasks in the project, {_labeled(package)}. "
        f"Labels of {package.audit.labels} audit tasks, drawn at random, were kept "
        f"from training to measure it.{_several(package)}",
        "## Accuracy",
        _table(("measured on", "accuracy", "95% interval", "labels"), _accuracy(package)),
        AUDIT.format(population=package.audit.population),
        f"Expected calibration error {report.ece:.3f}, log loss {report.log_loss:.3f} nats, both out of fold. "
        "The exported model is the linear head alone; the live queue predicts with a head that also reads the "
        "unlabeled pool, which no single image can do, so that its figures may be better.",
        _confusions(report),
        "## How it was made",
        "\n".join(
            (
                f"- Backbone: {backbone}, {_origin(package)}; feature version {package.features.version} "
                f"(`{package.features.backbone or 'unknown'}`).",
                "- Head: multinomial logistic regression on the pooled features, its strength chosen by 5-fold "
                f"cross-validation; temperature {report.temperature:.3f}, folded into the classifier.",
                f"- Labels were chosen by `{project.preset or project.strategy.name}` (now); labels.csv names the "
                "ranking behind each.",
                f"- Versions: {', '.join(f'{name} {value}' for name, value in versions.items())}.",
            )
        ),
        "## Limits",
        "\n".join(_limits(package)),
        "## Use",
        "`labelqueue predict . IMAGES...`, or plain timm:",
        USE,
        "`config.json` says how images are prepared: stretched to a square, bicubic with antialias, then normalised. "
        + (f"There is no ONNX file: {onnx}." if onnx else ONNX),
        "## Files",
        FILES,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


AUDIT = (
    "The audit's interval is for the share right of the {population} tasks that nobody had labeled when the audit was "
    "drawn among them, by this model alone, and holds however often one looks as labels come in (Waudby-Smith & Ramdas "
    "2020). Of many models exported, the one that looks best is not covered. Intervals of held-out labels are "
    "Wilson's, for one look."
)
ONNX = (
    "`model.onnx` takes such images (n, 3, height, width) as `images` and gives `probabilities` (n, classes); it was "
    "compared with torch when it was written."
)
FILES = """- `model.safetensors`, `config.json`, `preprocessing.json`: the model and how to feed it.
- `labels.csv`, `labels.parquet`: each task that people dealt with, when, and the ranking that had served it.
- `rankings.csv`, `rankings.parquet`: every position of every ranking with score, reason, and what made it."""


def _labeled(package: Package) -> str:
    passed = package.annotated + package.skipped
    annotated = f"{package.annotated} annotated with nothing to learn from, " if package.annotated else ""
    return f"{len(package.labels) - passed} labeled, {annotated}{package.skipped} skipped"


def _several(package: Package) -> str:
    count = sum(row.images > 1 for row in package.labels)
    if not count:
        return ""
    return (
        f" {count} of the labeled tasks have several images and were learnt from as one, the mean of their vectors; "
        "the exported model takes one image at a time, and was not measured on single ones of them."
    )


def _classes(package: Package) -> list[tuple[str, ...]]:
    recall = package.report.recall
    return [
        (_plain(name), str(package.counts[name]), "not judged" if recall[name] is None else f"{recall[name]:.1%}")
        for name in package.classes
    ]


def _accuracy(package: Package) -> list[tuple[str, ...]]:
    rows = [_measured("labels held out in turn (chosen by the queue)", package.report, package.report.judged)]
    rows.append(_measured("audit tasks (drawn at random)", package.audit, package.audit.labels))
    if package.served:
        rows.append(_measured("for comparison: the live queue's head, held out", package.served, package.served.judged))
    return rows


def _measured(name: str, item: LearningReport | AuditAccuracy, labels: int | None) -> tuple[str, ...]:
    if item.accuracy is None:
        return (name, "not measured", "", "0")
    return (name, f"{item.accuracy:.1%}", f"{item.low:.1%} to {item.high:.1%}", str(labels))


def _confusions(report: LearningReport) -> str:
    if not report.confusion:
        return ""
    worst = [f"{_plain(pair.label)} taken for {_plain(pair.guess)} ({pair.count})" for pair in report.confusion[:5]]
    return f"Most frequent mistakes: {', '.join(worst)}."


def _origin(package: Package) -> str:
    if not package.features.checkpoint:
        return "weights as published, not fine-tuned"
    method = {"lp-ft": "head first, then all weights", "ft": "all weights"}.get(package.features.method or "", "")
    return f"fine-tuned on {package.features.labels} labels ({method})"


def _limits(package: Package) -> list[str]:
    empty = [_plain(name) for name, count in package.counts.items() if not count]
    few = [_plain(name) for name, count in package.counts.items() if 0 < count < 5]
    out = [
        "- It always names one of the classes: an image of something else gets one of them too.",
        "- Held-out figures are on images that the queue chose, which are often the hard ones; the audit's are on "
        "images drawn at random, and hold for images like those of this project only.",
    ]
    out.append(
        "- `model.safetensors` and `model.onnx` compute in 32-bit floats. Workers on hardware with bfloat16 embed the "
        "images in that: probabilities from such features and from this model were seen to differ by up to 0.015."
    )
    if empty:
        out.append(f"- Never predicted, because they have no label: {', '.join(empty)}.")
    if few:
        out.append(f"- Hardly known, with fewer than five labels: {', '.join(few)}.")
    audit = package.audit.labels
    if audit < 30:
        out.append(f"- {audit} audit labels measure little." if audit else "- No audit label measures it yet.")
    if package.features.checkpoint:
        out.append(
            "- The backbone was fine-tuned on some of these labels: accuracy on held-out labels may be too good."
        )
    return out


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("-",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text from outside on one line, with nothing that Markdown would read as its own."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]<>#|" else c for c in " ".join(text.split()))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
