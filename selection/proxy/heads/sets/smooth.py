"""The `smooth` head for sets: one logistic regression a class on features that the neighbourhood graph has smoothed."""

from __future__ import annotations

from selection.proxy.heads.sets.linear import fit_linear_sets, set_logits
from selection.proxy.heads.sets.register import Training, View, head
from selection.proxy.heads.smooth import prepared


@head("smooth", needs_graph=True)
def smooth(training: Training) -> View:
    """As `selection.proxy.heads.smooth`: smooth first, learn then. Cost that of the linear head in the graph's dims."""
    features, mean, scale = prepared(training.pool_graph)
    fit = fit_linear_sets(
        features[training.rows], training.present, seed=training.seed, mean=mean, scale=scale, device=training.device
    )
    return View(set_logits(fit.head, features, training.device), fit.out_of_fold)
