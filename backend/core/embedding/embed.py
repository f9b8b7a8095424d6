"""Make the features of a version: of the live one, and of one that is being made beside it, by the same steps.

The database hands out the tasks that the version lacks under leases, the feature store commits whole chunks, and only
then does the database say that they are there: a worker killed at any line loses at most one chunk's work, and a chunk
that was stored but not marked is recognised. Any number of workers may do this at once.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from backend.core.domain import Backbone, Project
from backend.core.domain.training import FeatureSet
from backend.core.embedding.pieces import PIECE_SECONDS, leased, until
from backend.core.embedding.store import Piece, sorted_out, store
from backend.core.ports import Embedder
from backend.core.queue import due
from backend.core.renewal import renew
from backend.core.services import Services

log = structlog.get_logger()

OPTIMIZE_EVERY = 60.0  # seconds between two joinings of the feature store's small fragments


def embed(services: Services, project_id: int, owner: str) -> int:
    """Claim up to a shard of pending tasks and embed them; returns how many were finished (embedded or failed)."""
    project = services.projects.get(project_id)
    live = services.feature_sets.get(project_id, project.features_version)
    if not services.tasks.waiting(project_id, live.version, 1):
        return 0
    embedder = services.embedder(live.checkpoint)
    if not _same_backbone(services, project, embedder.backbone):
        due.nudge(services, services.projects.get(project_id))
        return 0
    done = _make_features(services, live, embedder, owner)
    project = services.projects.get(project_id)
    if done and not due.nudge_embedding(services, project):
        due.nudge(services, project)
    return done


def embed_version(services: Services, project_id: int, version: int, owner: str) -> int:
    """The same for a version that is being made; whoever finds nothing left to do hands it over to be judged.

    The live version is not touched. Once the renewal is cancelled, nothing more is stored.
    """
    current = services.feature_sets.get(project_id, version)
    if current.state != "embedding":
        return 0
    embedder = services.embedder(current.checkpoint)
    done = _make_features(services, current, embedder, owner)
    if not services.tasks.waiting(project_id, version, 1):
        at, tag = services.clock.now(), embedder.backbone.tag
        services.feature_sets.move(project_id, version, "embedded", at=at, backbone=tag)
        renew.nudge_current(services, project_id)
    elif done:
        renew.nudge(services, services.feature_sets.get(project_id, version))
    return done


def _make_features(services: Services, made: FeatureSet, embedder: Embedder, owner: str) -> int:
    """Claim up to a shard of what the version lacks and embed it; returns how many tasks were finished.

    No image is begun after `PIECE_SECONDS`; tasks that are claimed singly follow one another until then. The embedder
    is there before the claim: a task is in hand only while it is worked on.
    """
    options, project = services.options, made.project
    piece = Piece(services, project, made.version, owner)
    began = services.clock.now()
    end = began + PIECE_SECONDS
    done = found = 0
    with leased(services, project, owner):
        while claimed := services.tasks.claim(project, owner, options.shard_size, options.lease, made.version):
            try:
                todo, known = sorted_out(piece, claimed)
                found += known
                done += store(piece, embedder, until(services, end, todo), len(todo))
            finally:
                services.tasks.release(project, owner)
            if len(claimed) > 1 or services.clock.now() >= end:
                break
    if done or found:
        _note_rate(services, made, done, services.clock.now() - began)
        device = embedder.device
        log.info(
            "embedded a shard", project=project, version=made.version, tasks=done, found_before=found, device=device
        )
        if services.jobs.hit(f"optimize:{project}:{made.version}", OPTIMIZE_EVERY):
            services.features.optimize(project, made.version)
    return done + found


def _note_rate(services: Services, made: FeatureSet, images: int, seconds: float) -> None:
    """Keep images/s of one worker as a moving mean: a full shard counts half of it, a small one less."""
    if images == 0 or seconds <= 0:
        return
    rate = images / seconds
    before = services.feature_sets.get(made.project, made.version).report.embed_rate
    weight = images / (images + services.options.shard_size)
    mean = rate if before is None else (1 - weight) * before + weight * rate
    services.feature_sets.note_rate(made.project, made.version, mean, at=services.clock.now())


def _same_backbone(services: Services, project: Project, backbone: Backbone) -> bool:
    """Whether the worker's backbone made this version; if not, start the next version, because features never mix.

    Of workers that find out at once one begins the version; of those with two backbones one names an empty project's.
    """
    if not project.backbone:
        tag = backbone.tag
        project = services.projects.edit(project.id, lambda now: now if now.backbone else replace(now, backbone=tag))
    if project.backbone == backbone.tag:
        return True
    log.warning("backbone changed: embedding anew", project=project.id, before=project.backbone, now=backbone.tag)
    version = renew.free_version(services, project.id)
    at = services.clock.now()
    services.feature_sets.begin_plain(project.id, backbone.tag, version=version, over=project.features_version, at=at)
    return False
