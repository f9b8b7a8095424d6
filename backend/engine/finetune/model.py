"""The network that is fine-tuned: a backbone with a linear head, and its names in files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from backend.engine.backbone import HEADS, Network
from backend.engine.finetune.recipe import Recipe

State = Mapping[str, torch.Tensor]


class Classifier(nn.Module):
    """Images (n, 3, p, p) -> logits (n, c)."""

    def __init__(self, network: Network, n_classes: int) -> None:
        super().__init__()
        self.backbone = network.model.requires_grad_(True)
        self.head = nn.Linear(network.about.dims, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.backbone(images))
        return logits

    def prepare(self, recipe: Recipe) -> None:
        """Training mode; with frozen BatchNorm its statistics stay."""
        self.train()
        if recipe.batchnorm == "frozen":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()


def optimizer_of(model: Classifier, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with the head at its own rate; biases and scales of norms are not decayed."""
    groups = []
    for part, rate in ((model.backbone, recipe.backbone_rate), (model.head, recipe.head_rate)):
        parameters = list(part.parameters())
        for decay, chosen in (
            (recipe.weight_decay, [p for p in parameters if p.ndim > 1]),
            (0.0, [p for p in parameters if p.ndim <= 1]),
        ):
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay, "rate": rate})
    return torch.optim.AdamW(groups)


def set_linear_head(model: Classifier, features: NDArray[np.float32], labels: NDArray[np.int64], seed: int) -> None:
    """Fit the head on frozen features: LP of LP-FT, solved exactly instead of by SGD, its strength chosen out of fold.

    The temperature is folded in, so that the first gradients of the backbone are those of a calibrated head: a head
    that fits a hundred labels perfectly would send none.
    """
    from selection.proxy.heads.linear import fit_linear

    head = fit_linear(features, labels, model.head.out_features, seed=seed).head
    bias = np.where(np.isfinite(head.bias), head.bias, head.bias[np.isfinite(head.bias)].min() - 1.0)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(head.weight.T / head.temperature))
        model.head.bias.copy_(torch.from_numpy(bias / head.temperature))


def head_name(network: Network) -> str:
    """What timm calls the classifier of this network, so that timm loads the file with the classes in it."""
    name = getattr(network.model, "default_cfg", {}).get("classifier", "head")
    return name if isinstance(name, str) and f"{name}.".startswith(HEADS) else "head"


def weights_of(model: Classifier, head: str) -> dict[str, torch.Tensor]:
    """All weights by timm's names, on the CPU."""
    state = dict(model.backbone.state_dict())
    state |= {f"{head}.{key}": value for key, value in model.head.state_dict().items()}
    return {key: value.detach().to("cpu", copy=True).contiguous() for key, value in state.items()}


def fill(model: Classifier, head: str, state: State) -> None:
    """Back from `weights_of`."""
    model.head.load_state_dict({key: state[f"{head}.{key}"] for key in ("weight", "bias")})
    model.backbone.load_state_dict({key: state[key] for key in model.backbone.state_dict()})


def moments_of(model: Classifier, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state as `parameter/kind`; empty before the first step."""
    return {
        f"{name}/{kind}": value.detach().to("cpu", copy=True).contiguous()
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def fill_moments(model: Classifier, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Back from `moments_of`."""
    parameters = dict(model.named_parameters())
    for key, value in state.items():
        name, kind = key.rsplit("/", 1)
        parameter = parameters[name]
        optimizer.state[parameter][kind] = value if kind == "step" else value.to(parameter.device, copy=True)
