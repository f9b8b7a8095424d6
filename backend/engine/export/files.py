"""Writes what `core.replay.export` packed into a folder: the model, its card, labels and rankings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet

from backend import __version__
from backend.core.errors import UserError
from backend.core.json_values import JSON
from backend.core.replay.export import LabelRow, Package, RankingRow
from backend.engine.backbone import DEFAULT, architecture_of, open_backbone
from backend.engine.checkpoints import Checkpoints
from backend.engine.export.model import CONFIG, join, save
from backend.engine.export.onnx import write_onnx
from backend.report.model_card import card

Row = TypeVar("Row", LabelRow, RankingRow)
TIMES = ("labeled_at", "made_at")
CHUNK = 10_000
TYPES = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.string()}


def export_files(package: Package, folder: Path, *, backbone: str, pixels: int | None, storage_url: str) -> list[str]:
    """Write everything into `folder`, which must be new or an earlier export; returns what a person should know.

    backbone, pixels, storage_url: of the settings; where the features come from a fine-tuned checkpoint, that one is
    taken from the storage in the backbone's place.
    Raises `UserError` if the settings' backbone is not the one that made the features.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / CONFIG).exists():
        raise UserError(f"{folder} holds other files; name a new folder")
    name = backbone or DEFAULT
    if package.features.checkpoint:
        kept = Checkpoints(storage_url).resolve(package.features.checkpoint)
        name, pixels = kept.backbone, kept.pixels
    network = open_backbone(name, pixels=pixels)
    made = package.features.backbone or package.project.backbone
    if made and made != network.about.tag:
        raise UserError(
            f"the features were made by {made}, and the settings give {network.about.tag}; "
            "set BACKBONE and IMAGE_SIZE as they were"
        )
    model, arguments = join(network, architecture_of(name, network), package.head)
    folder.mkdir(parents=True, exist_ok=True)
    side = network.about.pixels
    prepare: dict[str, JSON] = {
        "input_size": [3, side, side],
        "interpolation": "bicubic",
        "mean": list(network.mean),
        "std": list(network.std),
        "crop_pct": 1.0,
        "crop_mode": "squash",
    }
    versions = {"labelqueue": __version__, "timm": version("timm"), "torch": version("torch")}
    config: dict[str, JSON] = {
        "timm": arguments,
        "classes": list(package.classes),
        "preprocessing": prepare,
        "backbone": network.about.tag,
        "features_version": package.features.version,
        "metrics": {**package.report.to_json(), "audit": package.audit.to_json()},
        "versions": versions,
    }
    save(folder, model, config)
    (folder / "preprocessing.json").write_text(json.dumps(prepare, indent=2) + "\n")
    no_onnx = write_onnx(folder, model, side)
    write_tables(folder / "labels", LabelRow, package.labels)
    write_tables(folder / "rankings", RankingRow, package.ranking_rows())
    text = card(package, network.about.name, side, versions, no_onnx)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return [f"no ONNX file: {no_onnx}"] if no_onnx else []


def write_tables(stem: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """`stem`.csv and `stem`.parquet with the fields of dataclass `kind`; times as UTC, parameters as JSON text."""
    names = [field.name for field in fields(kind)]
    schema = pa.schema([(field.name, _type(field.name, str(field.type))) for field in fields(kind)])
    parquet = stem.with_suffix(".parquet")
    with (
        stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as sink,
        pyarrow.parquet.ParquetWriter(parquet, schema) as columns,
    ):
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(names)
        for chunk in _chunks(rows):
            records = [_plain(asdict(row)) for row in chunk]
            columns.write_table(pa.Table.from_pylist(records, schema))
            writer.writerows([_cell(record[name]) for name in names] for record in records)


def _type(name: str, annotation: str) -> pa.DataType:
    if name in TIMES:
        return pa.timestamp("us", tz="UTC")
    return TYPES.get(annotation.removesuffix(" | None"), pa.string())


def _plain(record: Mapping[str, object]) -> dict[str, object]:
    out = dict(record)
    for name, value in record.items():
        if name in TIMES and isinstance(value, float):
            out[name] = datetime.fromtimestamp(value, UTC)
        elif isinstance(value, dict):
            out[name] = json.dumps(value, sort_keys=True)
    return out


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else value


def _chunks(rows: Iterable[Row]) -> Iterable[Sequence[Row]]:
    part: list[Row] = []
    for row in rows:
        part.append(row)
        if len(part) == CHUNK:
            yield part
            part = []
    if part:
        yield part
