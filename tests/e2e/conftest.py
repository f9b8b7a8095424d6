"""One installation for all end-to-end tests that kill nothing; each test has its own project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.label_studio_server import TOKEN
from tests.harness.labelqueue import RealLabelQueue
from tests.harness.labelstudio import RealLabelStudio
from tests.harness.live import Live
from tests.harness.valkey import Valkey

BATCH = 20


@pytest.fixture(scope="session")
def live(label_studio: RealLabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Web process and one worker against the shared Label Studio; a ranking every `BATCH` labels."""
    folder = tmp_path_factory.mktemp("labelqueue")
    (folder / "valkey").mkdir()
    settings = {"BATCH_SIZE": str(BATCH)}
    with (
        Valkey(folder / "valkey") as valkey,
        RealLabelQueue(folder / "home", label_studio.url, TOKEN, valkey.url, settings) as ours,
    ):
        ours.start()
        yield Live(label_studio, ours)
