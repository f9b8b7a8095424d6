"""Embedding through the whole system against the bare forward pass, in one process.

The system: files -> ImageSource -> decode -> network -> Lance, in appends of 64 as the service makes them. Bare: the
same network at the best of several batch sizes and thread layouts, on a tensor that is decoded and normalised already,
its results thrown away. Both passes are repeated in turn, so that a busy machine hits both.

    python -m benchmarks.embedding [FOLDER] [--photos WIDTHxHEIGHT] [--count 5000] [--pixels 128] [--repeat 3]

FOLDER holds JPEGs at any depth; without it, photo-like JPEGs are drawn.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from PIL import Image

from backend.adapters.features.store import LanceFeatures
from backend.adapters.images.source import ImageSource
from backend.core.domain import Embedded, FeatureBatch
from backend.engine.decoding.decode import decode
from backend.engine.decoding.decoders import Decoders
from backend.engine.embedder import BatchEmbedder, open_embedder

CHUNK = 64


def draw(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write `count` different JPEGs of quality 90: 1/f^1.35 noise, near a photograph's spectrum and file size."""
    rng = np.random.default_rng(0)
    width, height = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1 / width
    for number in range(min(count, 100)):  # 100 pictures, each shifted
        spectrum = np.fft.rfft2(rng.standard_normal((3, height, width))) / frequency
        noise = np.fft.irfft2(spectrum / frequency**0.35, (height, width))
        scaled = np.clip(128 + 48 * noise / noise.std((1, 2), keepdims=True), 0, 255).astype(np.uint8)
        for copy in range(number, count, 100):
            image = Image.fromarray(np.roll(scaled, copy, 2).transpose(1, 2, 0))
            file = io.BytesIO()
            image.save(file, "JPEG", quality=90)
            (folder / f"{copy:05}.jpg").write_bytes(file.getvalue())


def system(embedder: BatchEmbedder, paths: list[str], storage: Path) -> tuple[float, float]:
    """Images a second from reference to stored vector, and CPU milliseconds an image."""
    store = LanceFeatures(str(storage))
    refs = ((number, ("/data/local-files/?d=" + quote(path),)) for number, path in enumerate(paths))
    waiting: list[Embedded] = []
    start, worked = time.perf_counter(), time.process_time()

    def keep() -> None:
        vectors = np.stack([item.vector for item in waiting])
        ids = np.array([item.task_id for item in waiting])
        store.append(1, 1, FeatureBatch(ids, vectors, [item.digest for item in waiting]))
        waiting.clear()

    for result in embedder.embed(refs):
        if not isinstance(result, Embedded):
            raise SystemExit(f"image {result.task_id}: {result.reason}")
        waiting.append(result)
        if len(waiting) == CHUNK:
            keep()
    if waiting:
        keep()
    seconds, worked = time.perf_counter() - start, time.process_time() - worked
    if len(store.load(1, 1).task_ids) != len(paths):
        raise SystemExit("the store does not hold every image")
    return len(paths) / seconds, 1000 * worked / len(paths)


def bare(embedder: BatchEmbedder, batch: int, lanes: int, threads: int, seconds: float) -> tuple[float, float]:
    """Images a second and CPU milliseconds an image of the network alone.

    It runs on `lanes` Python threads of `threads` torch threads each.
    """
    side = embedder.backbone.pixels
    made = torch.randn(batch, 3, side, side, device=embedder._device, dtype=embedder._precision)
    inputs = made.to(memory_format=torch.channels_last)
    gate = threading.Barrier(lanes)
    spans = []

    def lane() -> None:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            embedder._model(inputs)
            gate.wait()
            start, count = time.perf_counter(), 0
            while time.perf_counter() - start < seconds:
                embedder._model(inputs).cpu()
                count += batch
            spans.append((start, time.perf_counter(), count))

    worked = time.process_time()
    runners = [threading.Thread(target=lane) for _ in range(lanes)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    count = sum(span[2] for span in spans)
    rate = count / (max(span[1] for span in spans) - min(span[0] for span in spans))
    return rate, 1000 * (time.process_time() - worked) / (count + lanes * batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--photos", default="500x375", metavar="WIDTHxHEIGHT")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--pixels", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", action="store_true", help="decode in this process, not in processes of their own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder
        if folder is None:
            folder = Path(scratch, "photos")
            folder.mkdir()
            draw(folder, tuple(map(int, options.photos.split("x"))), min(options.count, 1000))
        found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
        paths = list(islice(cycle(found), options.count))
        images = ImageSource(label_studio_url="http://127.0.0.1:9", auth_headers=dict, local_root=folder)
        decoding = decode if options.threads else Decoders(images.max_pixels, 20.0)
        embedder = open_embedder(
            images, pixels=options.pixels, batch=options.batch, precision=options.precision, decode=decoding
        )
        cores = len(os.sched_getaffinity(0)) if embedder._device.type == "cpu" else 1
        layouts = {(b, lanes, t) for b in (8, 16, 32) for lanes, t in ((cores, 1), (1, cores))}
        if embedder._device.type == "cuda":
            layouts = {(b, 1, 1) for b in (128, 256, 512)}
        system(embedder, paths[:256], Path(scratch, "warm"))
        tried = {layout: bare(embedder, *layout, 1.0)[0] for layout in sorted(layouts)}
        best = max(tried, key=lambda layout: tried[layout])
        through, alone = [], []
        for number in range(options.repeat):
            through.append(system(embedder, paths, Path(scratch, f"s{number}")))
            alone.append(bare(embedder, *best, 4.0))
        report = {
            "images": len(paths),
            "distinct": len(set(paths)),
            "of": str(options.folder or f"drawn {options.photos}"),
            "mean_kilobytes": round(statistics.mean(Path(folder, path).stat().st_size for path in paths) / 1000, 1),
            "device": embedder.device,
            "pixels": embedder.backbone.pixels,
            "bare_layouts": {f"batch {b}, {n} lanes x {t} threads": round(tried[b, n, t]) for b, n, t in tried},
            "bare_per_second": [round(rate) for rate, _ in alone],
            "system_per_second": [round(rate) for rate, _ in through],
            "ratio": round(statistics.median(t[0] / a[0] for t, a in zip(through, alone, strict=True)), 3),
            "bare_cpu_ms": round(statistics.median(ms for _, ms in alone), 3),
            "system_cpu_ms": round(statistics.median(ms for _, ms in through), 3),
            "ratio_of_cpu_time": round(
                statistics.median(ms for _, ms in alone) / statistics.median(ms for _, ms in through), 3
            ),
        }
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
