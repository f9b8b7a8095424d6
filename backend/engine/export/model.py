"""A backbone and its linear head as one plain timm model in a folder: written, read back, used. Needs no service."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from backend.core.errors import BackboneError, BadImage, UserError
from backend.core.json_values import JSON
from backend.engine.backbone import Network
from backend.engine.decoding.decode import decode
from selection.proxy.heads.linear import LinearHead

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1
NEVER = -1e4  # logit of a class without labels: probability 0 in every precision, and no NaN as -inf may give
CLOSE = 1e-4
BATCH = 32
MAX_PIXELS = 100_000_000


def join(network: Network, architecture: str, head: LinearHead) -> tuple[nn.Module, dict[str, JSON]]:
    """(timm's model with the head as its classifier, the arguments of `timm.create_model` that make its like).

    The temperature is folded into the classifier: softmax of the logits is calibrated. Raises `BackboneError` for a
    network whose classifier is more than a linear layer on the features.
    """
    classes = head.weight.shape[1]
    model: Any = copy.deepcopy(network.model)  # Any: timm's models have more methods than nn.Module tells
    model.reset_classifier(classes)
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear) or classifier.in_features != head.weight.shape[0]:
        raise BackboneError(f"{network.about.name} has no plain linear classifier: it cannot be exported as one model")
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(head.weight.T / np.float32(head.temperature)))
        bias = np.maximum(head.bias / np.float32(head.temperature), np.float32(NEVER))
        classifier.bias.copy_(torch.from_numpy(bias))
    made: dict[str, JSON] = {"model_name": architecture, "num_classes": classes}
    if hasattr(model, "patch_embed"):
        made["img_size"] = network.about.pixels
    model = model.eval().requires_grad_(False)
    _prove(network, model, head)
    return model, made


def _prove(network: Network, model: nn.Module, head: LinearHead) -> None:
    side = network.about.pixels
    image = torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = network.model(image)
        logits = features @ torch.from_numpy(head.weight.copy()) + torch.from_numpy(head.bias.copy())
        expected = torch.softmax(logits / head.temperature, dim=1)
        gap = float((torch.softmax(model(image), dim=1) - expected).abs().max())
    if gap > CLOSE:
        raise BackboneError(
            f"{network.about.name} computes more than its features before its classifier (probabilities differ by "
            f"{gap:.2g}): it cannot be exported as one model"
        )


def save(folder: Path, model: nn.Module, config: Mapping[str, JSON]) -> None:
    """Write weights and config, and prove that plain timm takes them."""
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    safetensors.torch.save_file(state, str(folder / WEIGHTS), {"format": "pt"})
    (folder / CONFIG).write_text(json.dumps({"format": FORMAT, **config}, indent=2, ensure_ascii=False) + "\n")
    open_exported(folder)


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A model read back from its folder."""

    model: nn.Module
    classes: tuple[str, ...]
    pixels: int
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def predict(self, paths: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.float32] | str]]:
        """(path, probabilities (c,)) in order, or (path, the reason) for an image that cannot be read.

        The images are the user's own files: they are decoded in this process, with a limit of pixels and none of time.
        """
        for start in range(0, len(paths), BATCH):
            part = paths[start : start + BATCH]
            read = [self._read(path) for path in part]
            good = [item for item in read if isinstance(item, torch.Tensor)]
            found = iter(self.probabilities(good) if good else ())
            yield from ((p, next(found) if isinstance(r, torch.Tensor) else r) for p, r in zip(part, read, strict=True))

    def probabilities(self, images: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        """(n, c) of decoded images (pixels, pixels, 3) uint8."""
        scaled = torch.stack(list(images)).float() / 255  # (n, h, w, 3)
        scaled = (scaled - torch.from_numpy(self.mean)) / torch.from_numpy(self.std)
        with torch.inference_mode():
            logits = self.model(scaled.permute(0, 3, 1, 2).contiguous())
            return np.asarray(torch.softmax(logits, dim=1).numpy(), np.float32)

    def _read(self, path: Path) -> torch.Tensor | str:
        try:
            return decode(path.read_bytes(), self.pixels, MAX_PIXELS)
        except OSError as error:
            return error.strerror or str(error)
        except BadImage as error:
            return str(error)


def open_exported(folder: Path) -> Exported:
    """Read a folder that `save` wrote. Raises `UserError` if it is no such folder or its files do not fit."""
    try:
        config = json.loads((folder / CONFIG).read_text())
        if config["format"] != FORMAT:
            raise UserError(
                f"{folder} is of format {config['format']}, this program reads {FORMAT}; upgrade labelqueue"
            )
        model = timm.create_model(**config["timm"], pretrained=False)
        model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS))
        prepare = config["preprocessing"]
        return Exported(
            model.eval(),
            tuple(config["classes"]),
            int(prepare["input_size"][-1]),
            np.array(prepare["mean"], np.float32),
            np.array(prepare["std"], np.float32),
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        name = Path(str(error.filename or WEIGHTS)).name
        raise UserError(f"{folder} holds no {name}; name a folder that labelqueue export wrote") from error
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, safetensors.SafetensorError) as error:
        raise UserError(f"{folder} is damaged: {str(error).splitlines()[0][:200]}; export it again") from error


def find_images(given: Iterable[Path], suffixes: Collection[str]) -> list[Path]:
    """The files named, and those with an image's suffix below the folders named, by name."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
        else:
            found.append(path)
    return found
