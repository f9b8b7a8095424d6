"""A simulation's files: curves.csv, summary.json, curves.svg and report.html, which holds all of it for reading."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from backend.core.replay.report import Figure, Simulated, curves
from backend.core.replay.simulate import Plan, Run
from backend.report.curve_plot import draw

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 32px auto; padding: 0 16px; }
h1 { font-size: 22px; } table { border-collapse: collapse; margin: 20px 0; } svg { max-width: 100%; height: auto; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } .wide { overflow-x: auto; } li { margin: 4px 0; }
"""
COLUMNS = ("strategy", "area", "against random", "labels to target", "labels saved", "won/tied/lost")


def write(folder: Path, plan: Plan, runs: Sequence[Run], summary: Simulated) -> list[Path]:
    """Write the files into `folder` (made if missing) and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{summary['source']}: {summary['images']} images, {len(summary['classes'])} classes"
    drawn = draw(plan.stops, curves(plan, runs), title, base=summary["base"], chance=1 / len(summary["classes"]))
    texts = {
        "curves.csv": _csv(plan, runs),
        "summary.json": json.dumps(summary, indent=2, ensure_ascii=False) + "\n",
        "curves.svg": drawn,
        "report.html": _page(title, drawn, summary),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def cells(summary: Simulated) -> list[tuple[str, ...]]:
    """The comparison as texts, in `COLUMNS`: for the terminal and the page."""
    rows: list[tuple[str, ...]] = []
    for arm in summary["arms"]:
        base = arm["name"] == summary["base"]
        reached = arm["labels_to_target"]
        rows.append(
            (
                arm["name"],
                f"{arm['area']:.1%}",
                "" if base else shown(arm["area_gap"], points=True),
                "never" if reached is None else f"{reached:.0f}",
                "" if base else shown(arm["saved"]),
                "" if base else f"{arm['wins']}/{arm['ties']}/{arm['losses']}",
            )
        )
    return rows


def savings(summary: Simulated) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows: the share of labels saved at what each strategy reaches with so many; at most six counts."""
    labels = summary["labels"]
    places = sorted({round(part * (len(labels) - 1) / 5) for part in range(6)})
    columns = ("labels saved at", *(str(labels[place]) for place in places))
    arms = [arm for arm in summary["arms"] if arm["name"] != summary["base"]]
    return columns, [(arm["name"], *(shown(arm["saved_at"][place]) for place in places)) for arm in arms]


def shown(item: Figure, *, points: bool = False) -> str:
    """A value with its interval, in per cent (or points of it), and "cannot tell" where it may as well be 0."""
    if item["value"] is None:
        return "none: target not reached"
    low, high = (f"{100 * end:+.1f}" if end is not None else "no limit" for end in (item["low"], item["high"]))
    text = f"{100 * item['value']:+.1f}{'' if points else '%'} ({low} to {high})"
    return text if item["verdict"] != "cannot tell" else f"{text}, cannot tell"


def _csv(plan: Plan, runs: Sequence[Run]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(("strategy", "head", "seed", "labels", "accuracy"))
    for run in runs:
        for count, accuracy in zip(plan.stops_of(run.strategy, run.head), run.accuracy, strict=True):
            writer.writerow((run.strategy, run.head, run.seed, count, f"{accuracy:.6f}"))
    return sink.getvalue()


def _page(title: str, drawn: str, summary: Simulated) -> str:
    explained = [*summary["notes"], *explain(summary)]
    listed = "".join(f"<li>{escape(text)}</li>" for text in explained)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>Simulation</h1>{drawn}"
        f"{_table(COLUMNS, cells(summary))}{_table(*savings(summary))}<ul>{listed}</ul></body></html>\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def explain(summary: Simulated) -> list[str]:
    """How to read the figures."""
    return [
        f"Mean of {len(summary['seeds'])} draws; in each, {summary['test_share']:.0%} of the images are held out "
        "and judge. Bands in the plot are one standard error.",
        "Area: mean accuracy over the curve. In brackets: 95% interval of the paired difference (bootstrap).",
        f"Target: {summary['target']:.1%}. Labels saved: 1 - labels needed / labels that {summary['base']} needs.",
        f"Labels saved at n: 1 - n / labels with which {summary['base']} gets as far; where it never does, its last "
        f"count ({_last(summary)}) stands for it, and more may be saved than is said.",
        "Won/tied/lost: after how many rounds the difference is shown to be above 0, cannot be told, is below 0.",
    ]


def _last(summary: Simulated) -> int:
    return max([*summary["labels"], *map(int, summary["further"])])
