"""The exported model as ONNX: normalised images (n, 3, pixels, pixels) in, probabilities (n, c) out."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

NEEDED = ("onnx", "onnxruntime", "onnxscript")
FILE = "model.onnx"
CLOSE = 1e-4


class _Probabilities(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.model(images), dim=1)


def write_onnx(folder: Path, model: nn.Module, pixels: int) -> str:
    """Write FILE and compare it with torch on images of two batch sizes; "" or the reason why there is no file."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed: pip install {' '.join(missing)}"
    whole, path = _Probabilities(model).eval(), folder / FILE
    images = torch.randn((3, 3, pixels, pixels), generator=torch.Generator().manual_seed(0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own deprecations: nothing for a person to do
            torch.onnx.export(
                whole,
                (images[:2],),
                str(path),
                dynamo=True,
                input_names=["images"],
                output_names=["probabilities"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
                external_data=False,
                verbose=False,
            )
            gap = max(_gap(path, whole, images[:count]) for count in (1, 3))
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # the exporter's and runtime's errors
        path.unlink(missing_ok=True)
        told = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return f"this network cannot be written as ONNX: {told}"
    if gap > CLOSE:
        path.unlink()
        return f"the ONNX file gave probabilities that differ by {gap:.2g} from torch's, so it is left out"
    return ""


def _gap(path: Path, whole: nn.Module, images: torch.Tensor) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = whole(images).numpy()
    return float(np.abs(session.run(None, {"images": images.numpy()})[0] - expected).max())
