"""What the use cases need of the world; each is implemented in `backend/adapters` and faked in `tests/fakes`."""

from backend.core.ports.addresses import Addresses
from backend.core.ports.features import FeatureSets, FeatureStore
from backend.core.ports.jobs import Clock, Jobs
from backend.core.ports.label_studio import LabelStudio
from backend.core.ports.models import Embedder, Trainer
from backend.core.ports.projects import Projects
from backend.core.ports.rankings import Rankings
from backend.core.ports.tasks import Tasks

__all__ = [
    "Addresses",
    "Clock",
    "Embedder",
    "FeatureSets",
    "FeatureStore",
    "Jobs",
    "LabelStudio",
    "Projects",
    "Rankings",
    "Tasks",
    "Trainer",
]
