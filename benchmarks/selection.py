"""The strategies against the published algorithms: time, memory, agreement of picks, growth in n.

    python -m benchmarks.selection [--part compare growth] [--methods activeft bilaf ...] [--rows 50000]
        [--dims 1280] [--budget 1000] [--sizes 5000 50000 200000 1000000] [--folder IMAGES] [--out docs/PAGE.md]

Data: a mixture of Gaussians of unequal sizes with heavy tails and a low-rank core, or features of random crops of
IMAGES (a folder with a sub-folder a class; minutes the first time, then cached). Each case runs alone in its own
process on the same file of features, once on 2,000 of the rows to start the libraries' kernels and then timed on all,
twice if that took less than 30 s: the better counts. Extra memory is the peak of its resident set less what it was
before. Where a published form would take hours its slope is measured, and the table says so. Seconds are CPU seconds
of --threads threads: with one, a busy machine disturbs them least; ratios are of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.image_features import load_crops
from benchmarks.selection_cases import CASES, COMPARED, SAME_PICKS, Work
from benchmarks.selection_work import NOTES, RATES, own_passes

BY_HAND = "<!-- below: by hand, kept by benchmarks.selection -->"
PARTS = ("compare", "growth")
WARM_ROWS, WARM_BUDGET = 2000, 100
REPEATED = 30


def draw_features(n: int, d: int, dtype: str = "float32") -> np.ndarray:
    """100 groups with Zipf sizes, 64 shared directions plus noise, Student-t lengths: (n, d)."""
    rng = np.random.default_rng(0)
    rank = min(64, d)
    shares = 1 / np.arange(1, 101)
    centers = rng.normal(size=(100, rank)).astype(np.float32) * 1.5
    basis = rng.normal(size=(rank, d)).astype(np.float32) / np.sqrt(rank)
    out = np.empty((n, d), dtype)
    for start in range(0, n, 50_000):
        m = min(50_000, n - start)
        group = rng.choice(100, size=m, p=shares / shares.sum())
        tail = np.sqrt(4 / rng.chisquare(4, size=(m, 1))).astype(np.float32)
        core = centers[group] + rng.standard_normal((m, rank), np.float32) * tail
        out[start : start + m] = core @ basis + rng.standard_normal((m, d), np.float32) * (0.3 * tail)
    return out


def measure_limits() -> dict[str, float]:
    """CPU seconds of one GFLOP in each type and of one GB read, best of seven: what bounds any pass of any method."""
    a, x, v = torch.randn(2048, 1280), torch.randn(40_000, 1280), torch.randn(1280)
    found = {}
    for name in RATES[:3]:
        left = a.to(getattr(torch, name))
        found[name] = min(_seconds(lambda left=left: left @ left.T) for _ in range(7)) / (2 * 2048 * 2048 * 1280 / 1e9)
    found["read"] = min(_seconds(lambda: x @ v) for _ in range(7)) / (x.numel() * 4 / 1e9)
    return found


def _seconds(run: Any) -> float:
    begin = time.process_time()
    run()
    return time.process_time() - begin


def _resident(field: str) -> float:
    """VmRSS or VmHWM of this process in MiB; getrusage would show the peak of the process that forked this one."""
    status = Path("/proc/self/status").read_text()
    return float(status.split(field + ":")[1].split()[0]) / 1024


def run_case(file: str, name: str, side: str, budget: int) -> dict[str, Any]:
    """One case in this process: its seconds, picks, way of timing, and extra MiB at the peak."""
    features = np.load(file)
    n = len(features)
    rng = np.random.default_rng(7)
    sample = features[rng.choice(n, min(n, 1000), replace=False)].astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    apart = np.sqrt(np.maximum(2 - 2 * sample @ sample.T, 0))[np.triu_indices(len(sample), 1)]
    delta = float(np.quantile(apart, 10 / n))  # about ten neighbours a row
    case = CASES[name][0 if side == "ours" else 1]
    assert case is not None, f"{name} has no published form"
    warm = features[:: max(1, n // WARM_ROWS)]
    few = min(budget, WARM_BUDGET)
    case(Work(warm, few, rng.choice(len(warm), few, replace=False), delta))
    work = Work(features, budget, rng.choice(n, budget, replace=False), delta)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _resident("VmRSS")
    done = case(work)
    if done.seconds < REPEATED:  # the first run also faults its memory in
        done = min(done, case(work), key=lambda one: one.seconds)
    return {**asdict(done), "extra": _resident("VmHWM") - before}


def in_process(file: Path, name: str, side: str, budget: int, limit: float) -> dict[str, Any] | None:
    """`run_case` in a process of its own; None if it takes longer than `limit` seconds or dies."""
    command = [sys.executable, "-m", "benchmarks.selection", "--case", str(file), name, side, str(budget)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode:
        print(ended.stderr[-2000:], file=sys.stderr)
        return None
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def compare(file: Path, methods: list[str], budget: int, limit: float, rates: dict[str, float]) -> list[str]:
    """Lines of the table of ours against the published forms, and of each method's note."""
    n, d = np.load(file, mmap_mode="r").shape
    lines = [
        "| method | ours CPU s | published CPU s | ratio | limit | ours / limit | ours MiB | published MiB | same picks"
        " | timing of the published |",
        "|---" * 10 + "|",
    ]
    theirs: dict[str, dict[str, Any] | None] = {}
    for name in methods:
        if CASES[name][1] is not None:
            theirs[name] = in_process(file, name, "published", budget, limit)
        ours = in_process(file, name, "ours", budget, limit)
        other = theirs.get(COMPARED.get(name, name))
        work = (ours or {}).get("passes") or own_passes(name, n, d, budget)
        least = sum(rates[kind] * amount for kind, amount in work.items()) if work else None
        lines.append(_row(name, ours, other, least))
        print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, "", *(f"- {name}: {NOTES[name]}" for name in methods if name in NOTES)]


def _row(name: str, ours: dict[str, Any] | None, other: dict[str, Any] | None, least: float | None) -> str:
    def cell(side: dict[str, Any] | None, key: str, form: str) -> str:
        return format(side[key], form) if side else "-"

    ratio = f"{other['seconds'] / ours['seconds']:.1f}" if ours and other else "-"
    agree = "-"
    if ours and other and name in SAME_PICKS:
        k = min(len(ours["rows"]), len(other["rows"]))
        agree = f"{len(set(ours['rows'][:k]) & set(other['rows'][:k]))}/{k}"
    cells = [
        name,
        cell(ours, "seconds", ".2f"),
        cell(other, "seconds", ".1f"),
        ratio,
        f"{least:.2f}" if least else "-",
        f"{ours['seconds'] / least:.1f}" if ours and least else "-",
        cell(ours, "extra", ".0f"),
        cell(other, "extra", ".0f"),
        agree,
        other["how"] if other else "-",
    ]
    return "| " + " | ".join(cells) + " |"


def growth(methods: list[str], sizes: list[int], dims: int, budget: int, limit: float, folder: Path) -> list[str]:
    """Lines of the table of seconds and MiB of ours at each n, float16 features."""
    lines = [
        "| method | " + " | ".join(f"n = {n:,}: s (MiB)" for n in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    cells: dict[str, list[str]] = {name: [] for name in methods}
    for n in sizes:
        file = folder / f"{n}.npy"
        np.save(file, draw_features(n, dims, "float16"))
        for name in methods:
            found = in_process(file, name, "ours", min(budget, n // 2), limit)
            cells[name].append(f"{found['seconds']:.2f} ({found['extra']:.0f})" if found else f"over {limit:.0f} s")
            print(n, name, cells[name][-1], file=sys.stderr, flush=True)
        file.unlink()
    return lines + ["| " + " | ".join([name, *cells[name]]) + " |" for name in methods]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.selection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["compare"], help="what to run")
    parser.add_argument("--methods", nargs="+", choices=sorted(CASES), default=sorted(CASES))
    parser.add_argument("--rows", type=int, default=50_000, help="n of the comparison")
    parser.add_argument("--dims", type=int, default=1280, help="d of the comparison")
    parser.add_argument("--growth-dims", type=int, default=384, help="d of the growth table")
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5_000, 50_000, 200_000, 1_000_000])
    parser.add_argument(
        "--folder", type=Path, help="images of whose crops the comparison uses features, instead of drawn ones"
    )
    parser.add_argument("--limit", type=float, default=1800, help="seconds after which a case is given up")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch and of numpy's products")
    parser.add_argument("--out", type=Path, help="write the page here instead of to stdout")
    parser.add_argument("--case", nargs=4, metavar=("FILE", "NAME", "SIDE", "BUDGET"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the parts asked for and write one Markdown page."""
    asked = _parse()
    if asked.case:
        file, name, side, budget = asked.case
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        print(json.dumps(run_case(file, name, side, int(budget))))
        return
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(asked.threads)
    torch.set_num_threads(asked.threads)
    lines = ["# How fast the strategies are", "", f"{date.today()}, `python -m benchmarks.selection"]
    lines[-1] += f" {' '.join(sys.argv[1:])}`, {platform.machine()}, {torch.get_num_threads()} threads,"
    lines += [f"torch {torch.__version__}, numpy {np.__version__}.", ""]
    with tempfile.TemporaryDirectory() as folder:
        rates = measure_limits()
        told = [f"{1 / rates[kind]:.0f} GFLOP/s in {kind}" for kind in RATES[:3]]
        lines += [f"Limits in this run, in CPU time: {', '.join(told)}; {1 / rates['read']:.1f} GB/s read.", ""]
        if "compare" in asked.part:
            file = Path(folder) / "compare.npy"
            data = load_crops(asked.folder, asked.rows) if asked.folder else draw_features(asked.rows, asked.dims)
            np.save(file, data)
            lines += [f"## {data.shape[0]:,} x {data.shape[1]:,}, budget {asked.budget:,}", ""]
            del data
            lines += [*compare(file, asked.methods, asked.budget, asked.limit, rates), ""]
            file.unlink()
        if "growth" in asked.part:
            lines += [f"## Growth: float16, d = {asked.growth_dims}, budget {asked.budget:,}", ""]
            lines += growth(asked.methods, asked.sizes, asked.growth_dims, asked.budget, asked.limit, Path(folder))
    page = "\n".join(lines).rstrip() + "\n"
    if asked.out:
        by_hand = asked.out.read_text().partition(BY_HAND)[2] if asked.out.exists() else "\n"
        asked.out.write_text(page + "\n" + BY_HAND + by_hand)
    else:
        print(page)


if __name__ == "__main__":
    main()
