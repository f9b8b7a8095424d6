"""The `mlp` head: the proxy of ASVP, a hidden layer on frozen features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from selection.contract import FloatArray, IntArray
from selection.proxy.calibration import NO_FOLD, fit_temperature, log_softmax
from selection.proxy.heads.linear import BLOCK, N_FOLDS, blocks
from selection.proxy.heads.register import Training, View, head

if TYPE_CHECKING:
    import torch
    from torch import nn

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

EPOCHS = 50
BATCH = 128
RATE = 0.1
HIDDEN = 512


def fit_mlp(
    features: FloatArray,
    rows: IntArray,
    labels: IntArray,
    folds: IntArray,
    n_classes: int,
    *,
    seed: int,
    mean: Float64,
    scale: Float64,
    device: str = "cpu",
) -> tuple[Float32, Float64, float]:
    """Probabilities (n, c) float32 of the pool, held-out logits (m, c) and the temperature.

    Linear - BatchNorm - ReLU - Linear, SGD with Nesterov momentum and the 7/16 cosine, as in Wen et al., "ASVP", TMLR
    2024. We differ: features are standardised by the pool; batches are of equal size, since a last batch of a few
    rows wrecks the running statistics (6 points at 900 labels) and one of a single row crashes; at most 512 hidden
    units. Six trainings for the folds: much slower than the linear head. Needs two classes or more.
    """
    import torch

    seen = np.unique(labels)
    compact = torch.from_numpy(np.searchsorted(seen, labels)).to(device)
    shift, width = (torch.from_numpy(part.astype(np.float32)).to(device) for part in (mean, scale))
    inputs = torch.cat([(block - shift) / width for _, block in blocks(features[rows], device)])
    judged = folds != NO_FOLD
    held_out = np.full((len(rows), n_classes), np.nan)
    held_out[judged] = -np.inf
    for fold in range(N_FOLDS):
        out = np.flatnonzero(folds == fold)
        if len(out):
            keep = torch.from_numpy(np.flatnonzero(folds != fold)).to(device)
            model = _train(inputs[keep], compact[keep], len(seen), seed + fold + 1)
            with torch.inference_mode():
                logits = model(inputs[torch.from_numpy(out).to(device)]).double().cpu().numpy()
            held_out[np.ix_(out, seen)] = logits
    temperature, _ = fit_temperature(held_out[judged], labels[judged])
    model = _train(inputs, compact, len(seen), seed)
    probs = np.zeros((len(features), n_classes), np.float32)
    with torch.inference_mode():
        for start, block in blocks(features, device):
            logits = torch.softmax(model((block - shift) / width) / temperature, dim=1)
            probs[start : start + BLOCK, seen] = logits.cpu().numpy()
    return probs, held_out, temperature


def _train(inputs: torch.Tensor, targets: torch.Tensor, n_classes: int, seed: int) -> nn.Module:
    """A new network after EPOCHS over its rows; the global generator of torch is left as it was."""
    import torch
    from torch import nn

    m, d = inputs.shape
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = min(d, HIDDEN)
        model = nn.Sequential(nn.Linear(d, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, n_classes)).to(
            inputs.device
        )
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    n_batches = -(-m // BATCH)
    total = EPOCHS * n_batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: np.cos(7 * np.pi * t / (16 * total)))
    for _ in range(EPOCHS):
        for batch in torch.randperm(m, generator=generator).to(inputs.device).tensor_split(n_batches):
            optimizer.zero_grad()
            loss: torch.Tensor = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.eval()


@head("mlp")
def mlp(training: Training) -> View:
    """See `fit_mlp`."""
    probs, logits, temperature = fit_mlp(
        training.features,
        training.rows,
        training.labels,
        training.fit.folds,
        training.n_classes,
        seed=training.seed,
        mean=training.mean,
        scale=training.scale,
        device=training.device,
    )
    return View(probs, log_softmax(logits / temperature), temperature)
