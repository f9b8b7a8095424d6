"""One fake a port: small, in memory, true to what the real one was seen to do. State is not faked (SQLite is quick)."""

from tests.fakes.addresses import FakeAddresses
from tests.fakes.features import FakeFeatures
from tests.fakes.jobs import FakeJobs, FixedClock
from tests.fakes.label_studio import CONFIG, LABEL_CONFIG, FakeLabelStudio
from tests.fakes.models import FakeEmbedder, FakeTrainer

__all__ = [
    "CONFIG",
    "LABEL_CONFIG",
    "FakeAddresses",
    "FakeEmbedder",
    "FakeFeatures",
    "FakeJobs",
    "FakeLabelStudio",
    "FakeTrainer",
    "FixedClock",
]
