"""The one composition root: settings in, `Services` out."""

from __future__ import annotations

import time
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from backend import home
from backend.core.ports import Embedder, Trainer
from backend.core.services import Options, Services
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.adapters.images.source import ImageSource
    from backend.adapters.label_studio.client import ApiLabelStudio
    from backend.engine.decoding.decode import Decode


class SystemClock:
    """Wall-clock time."""

    def now(self) -> float:
        return time.time()


def services(settings: Settings) -> Services:
    """Everything real. Connections open on first use; the backbone loads when a job first asks for it."""
    from backend.adapters.features.store import LanceFeatures
    from backend.adapters.label_studio.client import ApiLabelStudio
    from backend.adapters.net.addresses import HttpAddresses
    from backend.adapters.queue.jobs import RqJobs
    from backend.adapters.state import open_state

    if home.in_use(settings):
        home.ensure(settings)
    state = open_state(settings.database_url)
    key = settings.label_studio_api_key
    label_studio = ApiLabelStudio(settings.label_studio_url, key.get_secret_value() if key else "")
    decode = cache(lambda: decoding(settings))
    return Services(
        projects=state.projects,
        tasks=state.tasks,
        rankings=state.rankings,
        features=LanceFeatures(settings.storage_url),
        jobs=RqJobs(settings.redis_url),
        label_studio=label_studio,
        clock=SystemClock(),
        feature_sets=state.feature_sets,
        embedder=lru_cache(maxsize=2)(lambda checkpoint: _embedder(settings, label_studio, decode(), checkpoint)),
        trainer=cache(lambda: _trainer(settings, label_studio, decode())),
        gpu=_has_gpu,
        addresses=HttpAddresses(lambda: state.projects.secret("instance")),
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
        new_projects=settings.new_projects,
        seed=settings.seed,
        backbone=settings.backbone,
    )


def _images(settings: Settings, label_studio: ApiLabelStudio) -> ImageSource:
    from backend.adapters.images.source import ImageSource

    return ImageSource(
        label_studio_url=settings.label_studio_url,
        auth_headers=label_studio.auth_headers,
        own_address=label_studio.own_address,
        allowed_hosts=settings.image_hosts,
        local_root=settings.local_files_root,
        max_bytes=int(settings.max_image_mb * 2**20),
        max_pixels=settings.max_image_pixels,
    )


def decoding(settings: Settings) -> Decode:
    """Processes that are started as they are needed, with the limits of time and memory of these settings."""
    from backend.engine.decoding.decoders import Decoders

    return Decoders(settings.max_image_pixels, settings.image_seconds)


def _embedder(settings: Settings, label_studio: ApiLabelStudio, decode: Decode, checkpoint: str) -> Embedder:
    from backend.engine.backbone import DEFAULT
    from backend.engine.checkpoints import Checkpoints
    from backend.engine.embedder import open_embedder

    kept = Checkpoints(settings.storage_url).resolve(checkpoint) if checkpoint else None
    return open_embedder(
        _images(settings, label_studio),
        backbone=kept.backbone if kept else settings.backbone or DEFAULT,
        pixels=kept.pixels if kept else settings.image_size,
        device=settings.device,
        precision=settings.precision,
        decode=decode,
    )


def _trainer(settings: Settings, label_studio: ApiLabelStudio, decode: Decode) -> Trainer:
    from backend.engine.finetune.trainer import open_trainer

    return open_trainer(
        _images(settings, label_studio),
        storage_url=settings.storage_url,
        backbone=settings.backbone,
        pixels=settings.image_size,
        device=settings.device,
        decode=decode,
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
