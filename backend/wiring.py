"""The one composition root: settings in, `Services` out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from backend import home
from backend.core.ports import Embedder, Trainer
from backend.core.services import Options, Services
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.adapters.images import ImageSource


class SystemClock:
    """Wall-clock time."""

    def now(self) -> float:
        return time.time()


def services(settings: Settings) -> Services:
    """Everything real. Connections open on first use; the backbone loads when a job first asks for it."""
    from backend.adapters.features import LanceFeatures
    from backend.adapters.labelstudio import ApiLabelStudio
    from backend.adapters.rqjobs import RqJobs
    from backend.adapters.state import open_state

    if home.in_use(settings):
        home.ensure(settings)
    state = open_state(settings.database_url)
    key = settings.label_studio_api_key
    label_studio = ApiLabelStudio(settings.label_studio_url, key.get_secret_value() if key else "")
    return Services(
        projects=state.projects,
        tasks=state.tasks,
        rankings=state.rankings,
        features=LanceFeatures(settings.storage_url),
        jobs=RqJobs(settings.redis_url),
        label_studio=label_studio,
        clock=SystemClock(),
        feature_sets=state.feature_sets,
        embedder=lru_cache(maxsize=2)(lambda checkpoint: _embedder(settings, label_studio.auth_headers, checkpoint)),
        trainer=cache(lambda: _trainer(settings, label_studio.auth_headers)),
        gpu=_has_gpu,
        options=options(settings),
    )


def options(settings: Settings) -> Options:
    """The part of the settings that use cases know."""
    return Options(
        public_url=settings.public_url,
        basic_auth=settings.basic_auth,
        shard_size=settings.shard_size,
        chunk_size=settings.chunk_size,
        reconcile_every=settings.reconcile_seconds,
        batch_size=settings.batch_size,
        min_interval=settings.min_interval,
        preannotate=settings.preannotate,
        seed=settings.seed,
        backbone=settings.backbone,
    )


def _images(settings: Settings, auth_headers: Callable[[], Mapping[str, str]]) -> ImageSource:
    from backend.adapters.images import ImageSource

    return ImageSource(
        label_studio_url=settings.label_studio_url,
        auth_headers=auth_headers,
        allowed_hosts=settings.image_hosts,
        local_root=settings.local_files_root,
        max_bytes=int(settings.max_image_mb * 2**20),
        max_pixels=settings.max_image_pixels,
    )


def _embedder(settings: Settings, auth_headers: Callable[[], Mapping[str, str]], checkpoint: str) -> Embedder:
    from backend.adapters.backbone import DEFAULT
    from backend.adapters.checkpoints import Checkpoints
    from backend.adapters.embedder import open_embedder

    kept = Checkpoints(settings.storage_url).resolve(checkpoint) if checkpoint else None
    return open_embedder(
        _images(settings, auth_headers),
        backbone=kept.backbone if kept else settings.backbone or DEFAULT,
        pixels=kept.pixels if kept else settings.image_size,
        device=settings.device,
        precision=settings.precision,
    )


def _trainer(settings: Settings, auth_headers: Callable[[], Mapping[str, str]]) -> Trainer:
    from backend.adapters.finetune import open_trainer

    return open_trainer(
        _images(settings, auth_headers),
        storage_url=settings.storage_url,
        backbone=settings.backbone,
        pixels=settings.image_size,
        device=settings.device,
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
