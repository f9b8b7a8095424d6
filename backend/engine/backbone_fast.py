"""Makes a network cheap to run without changing what it computes."""

from __future__ import annotations

import copy
import ctypes
import logging
import sys
from pathlib import Path

import torch
from torch import nn

log = logging.getLogger(__name__)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8  # of glibc's malloc.h
SAME = 1e-3  # largest change of an output that folding may make, as a part of the largest output


def fold_batchnorm(model: nn.Module, pixels: int) -> nn.Module:
    """A copy of `model` with each BatchNorm folded into the convolution before it; `model` if that is not exact.

    Neighbours in the order of definition are taken to be neighbours in the computation. That holds for most networks;
    the outputs for a random image are compared, and a network where it does not hold is left as it is.
    """
    folded = copy.deepcopy(model)
    if not _fold(folded):
        return model
    probe = torch.randn((2, 3, pixels, pixels), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before, after = model(probe), folded(probe)
    if float((before - after).abs().max()) > SAME * float(before.abs().max()):
        log.info("BatchNorm is not folded: the network computes in another order than it defines")
        return model
    return folded


def _fold(module: nn.Module) -> int:
    """Fold below `module`, in place; how many."""
    count, before = 0, None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d) and child.running_var is not None:
            if child.num_features == before.out_channels:
                _merge(before, child)
                setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's BatchNorm carries its activation
                count += 1
        else:
            count += _fold(child)
        before = child
    return count


def _merge(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """conv <- norm(conv(.)), computed in float64."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]  # (out, in, h, w)
    conv.weight = nn.Parameter(weight.float(), requires_grad=False)
    conv.bias = nn.Parameter(shift.float(), requires_grad=False)


def choose_device(wanted: str = "auto") -> torch.device:
    """`auto`: CUDA if there is one, else the CPU."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(wanted)


def choose_precision(device: torch.device, wanted: str = "auto") -> torch.dtype:
    """`auto`: bfloat16 where the hardware multiplies it (CUDA from 8.0; CPUs with AMX or AVX512-BF16), else float32."""
    if wanted != "auto":
        return {"bf16": torch.bfloat16, "fp32": torch.float32}[wanted]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split("flags", 1)[-1].split("\n", 1)[0].split() if info.exists() else []
    return torch.bfloat16 if {"amx_bf16", "avx512_bf16"} & set(flags) else torch.float32


def keep_memory() -> bool:
    """Tell glibc to keep freed memory instead of giving it back after each layer: up to 2x on CPUs.

    One arena for all threads, as only the main one grows without limit. True if the C library took it. For the whole
    process and for good; a few hundred MB that are not returned to the system.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):  # musl
        return False
    wishes = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 64 << 20), (M_ARENA_MAX, 1))
    return all(libc.mallopt(option, value) for option, value in wishes)
