"""Turns the kept parts of benchmarks.quality into docs/quality.md and docs/quality.svg."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ENOUGH = 5
"""Draws below which nothing is marked: at two, one difference in twenty is 'shown' by an interval of luck."""

Curves = dict[str, dict[int, NDArray[np.float64]]]  # strategy -> seed -> values


def write(kept: Path, data: str, docs: Path, per_class: Sequence[int], batch: int, names: Sequence[str]) -> None:
    """Write the tables and the plot of all parts in `kept`."""
    once: dict[str, Curves] = {"linear": defaultdict(dict), "auto": defaultdict(dict)}
    game: Curves = defaultdict(dict)
    seconds: dict[str, list[float]] = defaultdict(list)
    for line in kept.open():
        part = json.loads(line)
        kind, name, seed = part["task"]
        if name not in names:
            continue
        if kind == "game":
            game[name][seed] = 100 * np.array(part["values"]["accuracy"])
        else:
            for head in once:
                once[head][name][seed] = 100 * np.array(part["values"][head])
            seconds[name].append(part["values"]["seconds"][-1])
    text = [
        "# Do the strategies beat random?",
        "",
        f"Measured by `python -m benchmarks.quality` on the images of `{data}`; features: EfficientNet-Lite0, 128 px.",
        "Each draw takes 80% of the images as the pool; accuracy is that on held-out images, in per cent. `+x ± y` is",
        "the difference to `random` on the same draws and its 95% interval (paired t): **bold** is above random,",
        "_italic_ is below, plain cannot be told apart from it (or has fewer than 5 draws).",
        "Your images may rank them otherwise: run this on a folder of your own.",
    ]
    for head, title in (("linear", "a linear probe"), ("auto", "the `auto` head")):
        text += ["", f"## Chosen at one go, without labels: {title}", ""]
        text += once_table(once[head], per_class)
    text += ["", f"## The game: rounds of {batch} from nothing, `auto` head, mean over the rounds", ""]
    text += game_table(game, batch)
    text += ["", *verdicts(once, game, per_class, batch), "", "![Learning curves](quality.svg)", ""]
    text += ["Seconds to choose the largest budget (one thread): "]
    text[-1] += ", ".join(f"{n} {np.median(s):.2f}" for n, s in sorted(seconds.items())) + "."
    docs.mkdir(exist_ok=True)
    (docs / "quality.md").write_text("\n".join(text) + "\n")
    plot(once["auto"], game, per_class, batch, docs / "quality.svg")


def paired(curves: Curves, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Mean difference to random, half width of its 95% interval, and how many draws both have."""
    from scipy.stats import t

    seeds = sorted(set(curves[name]) & set(curves["random"]))
    gaps = np.array([curves[name][s] - curves["random"][s] for s in seeds])
    half = t.ppf(0.975, len(seeds) - 1) * gaps.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    return gaps.mean(axis=0), half, len(seeds)


def shown(gap: float, half: float, draws: int) -> str:
    """A difference with its interval, marked by what it shows once there are enough draws."""
    mark = "" if draws < ENOUGH else "**" if gap > half else "_" if gap < -half else ""
    return f"{mark}{gap:+.1f} ± {half:.1f}{mark}"


def order(curves: Curves) -> list[str]:
    """Best first, by the mean over the budgets; strategies with two draws or more."""
    able = [n for n in curves if n != "random" and len(set(curves[n]) & set(curves["random"])) > 1]
    return sorted(able, key=lambda n: -float(paired(curves, n)[0].mean()))


def once_table(curves: Curves, per_class: Sequence[int]) -> list[str]:
    """Rows: strategies; columns: budgets a class."""
    mean = np.mean(list(curves["random"].values()), axis=0)
    out = ["| labels a class | " + " | ".join(map(str, per_class)) + " | draws |", "|-|" + "-|" * (len(per_class) + 1)]
    out.append("| random | " + " | ".join(f"{v:.1f}" for v in mean) + f" | {len(curves['random'])} |")
    for name in order(curves):
        gap, half, n = paired(curves, name)
        cells = " | ".join(shown(g, h, n) for g, h in zip(gap, half, strict=True))
        out.append(f"| {name} | {cells} | {n} |")
    return out


def game_table(game: Curves, batch: int) -> list[str]:
    """Area under the curve and the accuracy after a quarter, a half and all of the rounds."""
    rounds = len(next(iter(game["random"].values())))
    stops = [rounds // 4, rounds // 2, rounds]
    heads = " | ".join(f"at {s * batch}" for s in stops)
    out = [f"| strategy | area | {heads} | draws |", "|-|-|" + "-|" * (len(stops) + 1)]
    mean = np.mean(list(game["random"].values()), axis=0)
    cells = " | ".join(f"{mean[s - 1]:.1f}" for s in stops)
    out.append(f"| random | {mean.mean():.1f} | {cells} | {len(game['random'])} |")
    for name in order(game):
        gap, half, n = paired(game, name)
        area, width, _ = paired(areas(game), name)
        cells = " | ".join(shown(gap[s - 1], half[s - 1], n) for s in stops)
        out.append(f"| {name} | {shown(float(area), float(width), n)} | {cells} | {n} |")
    return out


def areas(game: Curves) -> Curves:
    """Each curve's mean as its one value."""
    return {name: {s: np.asarray(v.mean()) for s, v in seeds.items()} for name, seeds in game.items()}


def verdicts(once: dict[str, Curves], game: Curves, per_class: Sequence[int], batch: int) -> list[str]:
    """In words: who does not beat random."""
    out = ["## Plainly", ""]
    if len(game["random"]) < ENOUGH:
        return [*out, f"Only {len(game['random'])} draws so far; {ENOUGH} are asked for before anything is claimed."]
    for head, curves in once.items():
        for i, each in enumerate(per_class):
            weak = [n for n in order(curves) if paired(curves, n)[0][i] <= paired(curves, n)[1][i]]
            out.append(f"- {each} a class, {head} head, not shown to beat random: {', '.join(weak) or 'none'}.")
    area = areas(game)
    weak = [n for n in order(game) if paired(area, n)[0] <= paired(area, n)[1]]
    below = [n for n in order(game) if paired(area, n)[0] < -paired(area, n)[1]]
    out.append(f"- The game in rounds of {batch}, not shown to beat random: {', '.join(weak) or 'none'}.")
    out.append(f"- The game, shown to be worse than random: {', '.join(below) or 'none'}.")
    return out


def plot(once: Curves, game: Curves, per_class: Sequence[int], batch: int, path: Path) -> None:
    """Both measurements side by side, mean accuracy against labels a class and against labels."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "quality"  # the same numbers give the same file
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), sharey=True)
    colours = pyplot.get_cmap("tab20").colors  # type: ignore[attr-defined]
    everyone = ["random", *sorted((set(once) | set(game)) - {"random"})]
    for i, name in enumerate(everyone):
        style = {"color": "black", "linewidth": 2.5} if name == "random" else {"color": colours[i % 20]}
        if once.get(name):
            left.plot(per_class, np.mean(list(once[name].values()), axis=0), marker=".", **style)
        if game.get(name):
            mean = np.mean(list(game[name].values()), axis=0)
            right.plot(batch * np.arange(1, len(mean) + 1), mean, label=name, **style)
    left.set(xscale="log", xlabel="labels a class, chosen at one go", ylabel="accuracy of the auto head, %")
    left.set_xticks(list(per_class), [str(v) for v in per_class])
    right.set(xlabel=f"labels, in rounds of {batch}")
    right.legend(fontsize=8, ncols=2, loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
