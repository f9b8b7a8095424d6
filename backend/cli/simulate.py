"""The command that replays labeled data: which strategy would have saved labels here?"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.cli import base
from backend.core.errors import BadSetting
from backend.core.text.numbers import whole

if TYPE_CHECKING:
    from backend.adapters.images.folder import Folder
    from backend.adapters.images.source import ImageSource
    from backend.core.ports import Embedder
    from backend.core.replay.report import Simulated
    from backend.core.replay.simulate import Plan, Renew, Run, Truth
    from backend.engine.simulation_renewal import Report
    from backend.settings import Settings

MOST_BAD = 5
LONGEST_SHOWN = 200  # characters of a name


def simulate(
    where: Annotated[
        str,
        typer.Argument(metavar="FOLDER_OR_PROJECT", help="Images in one sub-folder a class, or a project's number."),
    ],
    strategies: Annotated[
        str, typer.Option(help="Names with commas: strategies, activedc, svpp-NAME, asvp-NAME. Random is always added.")
    ] = "auto,typiclust,margin",
    rounds: Annotated[int, typer.Option(help="Learning rounds.", min=1)] = 10,
    batch: Annotated[int, typer.Option(help="Labels a round.", min=1)] = 10,
    budgets: Annotated[
        str | None, typer.Option(help="Learn after these numbers of labels, with commas, instead of equal rounds.")
    ] = None,
    further: Annotated[
        str | None, typer.Option(help="More numbers of labels for random only: how far it has to go to catch up.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Draws; each holds other images out.", min=1)] = 5,
    head: Annotated[str, typer.Option(help="linear, auto, or both with a comma; random has the first.")] = "auto",
    test_share: Annotated[float, typer.Option(help="Share of images that judge.", min=0.01, max=0.9)] = 0.2,
    target: Annotated[
        float | None, typer.Option(help="Accuracy at which labels are counted; default: where random ends.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for curves.csv, summary.json, curves.svg, report.html.")
    ] = None,
    as_json: base.AsJson = False,
) -> None:
    """Replay labeled images as if nobody had labeled them: which strategy saves labels on this data?

    Ranking, learning and renewal are those of the live queue. Features of a folder are extracted once and kept.

    asvp-NAME trains and embeds for real, from 200 labels on and when the rule asks for it: on a CPU minutes for each
    strategy and draw, so begin with few seeds. What was trained is kept: the same command again trains nothing.

    Example: labelqueue simulate photos/ --strategies auto,margin --rounds 20 --seeds 10 --out simulation/
    """
    from backend.core.replay.report import report
    from backend.core.replay.simulate import Plan, steady
    from backend.report.simulation_files import write

    plan = Plan(
        strategies=_names(strategies),
        stops=_numbers("--budgets", budgets) if budgets else steady(rounds, batch),
        seeds=tuple(range(seeds)),
        heads=_heads(head),
        further=_numbers("--further", further) if further else (),
        test_share=test_share,
    )
    arms = plan.arms  # unknown names are told before anything is embedded
    if out:
        _make(out)
    opened = _open(where)
    truth = opened.truth
    runs = _play(opened, plan, renews=any(item.renew for item, _ in arms))
    found = report(plan, runs, target=target)
    summary: Simulated = {
        "source": opened.source,
        "images": len(truth.labels),
        "classes": list(truth.classes),
        **found,
        "notes": [*opened.warnings, *found["notes"]],
    }
    written = write(out, plan, runs, summary) if out else []
    if as_json:
        base.print_json(summary)
    else:
        _print(summary, written)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(whole(part) for part in _names(text))
    except ValueError as error:
        raise BadSetting(f"{option} takes whole numbers with commas, as 10,50,100, not {text[:60]!r}") from error


def _heads(text: str) -> tuple[str, ...]:
    from selection.proxy.heads import register as heads

    known = [*heads.names(), "auto"]
    found = _names(text)
    unknown = sorted(set(found) - set(known))
    if unknown or not found:
        raise BadSetting(f"no head {', '.join(unknown) or repr(text)}; known: {', '.join(known)}")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class _Opened:
    """What is replayed, its name, what to warn of, and how its features are renewed."""

    truth: Truth
    source: str
    warnings: list[str]
    renewer: Callable[[Report], Renew]


def _open(where: str) -> _Opened:
    if os.path.isdir(where):
        return _from_folder(Path(where))
    if re.fullmatch(r"[0-9]{1,10}", where):
        return _from_project(int(where))
    if os.path.isfile(where):
        raise BadSetting(f"{where} is a file; name the folder that holds one sub-folder of images for each class")
    shown = where if len(where) <= LONGEST_SHOWN else f"{where[:LONGEST_SHOWN]}..."
    raise BadSetting(f"there is no folder {shown!r}, and it is no project's number; projects: labelqueue status")


def _make(out: Path) -> None:
    """Make the folder for results, or say that it cannot be: before hours of work, not after them."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise BadSetting(f"the folder {out} cannot be written; give --out a folder that we may write in")


def _from_project(number: int) -> _Opened:
    from backend.core.replay.project import images_of, labeled

    made = base.settings()
    services = base.services(made)
    project = base.find(services, number)
    truth, warnings = labeled(services, project)

    def make(report: Report) -> Renew:
        from backend.engine.checkpoints import Checkpoints
        from backend.engine.finetune.recipe import FT, LP_FT
        from backend.engine.simulation_renewal import renewer

        return renewer(
            images_of(services, project, truth),
            truth.classes,
            services.trainer(),
            services.embedder,
            key=f"{services.embedder('').backbone.tag} {LP_FT} {FT}",
            cache=_cache(made),
            forget=Checkpoints(made.storage_url).delete,
            report=report,
        )

    return _Opened(truth, project.title or f"project {number}", warnings, make)


def _from_folder(path: Path) -> _Opened:
    from backend.adapters.images.folder import folder_features, read_folder
    from backend.core.replay.simulate import Truth

    made = base.settings()
    base.quiet(made)
    folder = read_folder(path)
    embedder = _embedder(made, folder.root)
    with base.progress("embedding") as report:
        good, table, failed = folder_features(folder, embedder, _cache(made), progress=report)
    warnings = [f"left out because it cannot be read: {bad.name}: {reason}" for bad, reason in failed[:MOST_BAD]]
    warnings += [f"left out in the same way: {len(failed) - MOST_BAD} more"] if len(failed) > MOST_BAD else []

    def make(report: Report) -> Renew:
        return _folder_renewer(made, good, embedder.backbone.tag, report)

    return _Opened(Truth(table, good.labels, good.classes), path.resolve().name, warnings, make)


def _cache(made: Settings) -> Path:
    from backend import home

    home.ensure(made)
    return made.home / "simulations"


def _images(made: Settings, root: Path) -> ImageSource:
    from backend.adapters.images.folder import open_images

    return open_images(root, max_bytes=int(made.max_image_mb * 2**20), max_pixels=made.max_image_pixels)


def _embedder(made: Settings, root: Path, checkpoint: str = "") -> Embedder:
    from backend.engine.backbone import DEFAULT
    from backend.engine.checkpoints import Checkpoints
    from backend.engine.embedder import open_embedder
    from backend.wiring import decoding

    kept = Checkpoints(str(_cache(made))).resolve(checkpoint) if checkpoint else None
    return open_embedder(
        _images(made, root),
        backbone=kept.backbone if kept else made.backbone or DEFAULT,
        pixels=kept.pixels if kept else made.image_size,
        device=made.device,
        precision=made.precision,
        decode=decoding(made),
    )


def _folder_renewer(made: Settings, folder: Folder, backbone: str, report: Report) -> Renew:
    from backend.engine.checkpoints import Checkpoints
    from backend.engine.finetune.recipe import FT, LP_FT
    from backend.engine.finetune.trainer import open_trainer
    from backend.engine.simulation_renewal import renewer
    from backend.wiring import decoding

    storage = str(_cache(made))
    trainer = open_trainer(
        _images(made, folder.root),
        storage_url=storage,
        backbone=made.backbone,
        pixels=made.image_size,
        device=made.device,
        decode=decoding(made),
    )
    return renewer(
        folder.references,
        folder.classes,
        trainer,
        lambda checkpoint: _embedder(made, folder.root, checkpoint),
        key=f"{folder.digest} {backbone} {LP_FT} {FT}",
        cache=_cache(made),
        forget=Checkpoints(storage).delete,
        report=report,
    )


def _play(opened: _Opened, plan: Plan, *, renews: bool) -> list[Run]:
    from backend.core.replay.simulate import simulate as play

    total = len(plan.arms) * len(plan.seeds)
    runs: list[Run] = []
    with base.progress("replaying") as report:

        def told(what: str, done: int, of: int) -> None:
            report(done, of, f"{what} (arm {len(runs) + 1} of {total})")

        for run in play(opened.truth, plan, opened.renewer(told) if renews else None):
            runs.append(run)
            report(len(runs), total)
    return runs


def _print(summary: Simulated, written: list[Path]) -> None:
    from backend.report.simulation_files import COLUMNS, cells, explain, savings

    out = base.console()
    out.print(f"{summary['source']}: {summary['images']} images, {len(summary['classes'])} classes", markup=False)
    out.print(base.table(COLUMNS, cells(summary), right=COLUMNS[1:]))
    columns, rows = savings(summary)
    out.print(base.table(columns, rows, right=columns[1:]))
    for arm in summary["arms"]:
        for item in arm["renewals"]:
            out.print(f"{arm['name']}, draw {item['seed']}: {item['what']}", markup=False)
    for text in (*summary["notes"], *explain(summary)):
        out.print(text, markup=False)
    for path in written:
        out.print(f"wrote {path}", markup=False)
