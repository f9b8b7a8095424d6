"""The nouns of the program: frozen values that cross the borders between parts.

Times are seconds since the epoch (float, UTC). `project` is always OUR id of a project, `ls_id` Label Studio's.
"""

from backend.core.domain.features import Backbone, Embedded, Failed, FeatureBatch, FeatureTable
from backend.core.domain.projects import LabelConfig, Project, RenewalMode, Strategy
from backend.core.domain.rankings import Guess, Guesses, Head, Pick, Publication, PublicationState, Ranking
from backend.core.domain.remote import Prediction, RemoteBackend, RemoteProject, RemoteTask, RemoteWebhook, Server
from backend.core.domain.tasks import Annotation, Claim, Counts, Deleted, Task, TaskState
from backend.core.domain.work import JobView, WorkerView

__all__ = [
    "Annotation",
    "Backbone",
    "Claim",
    "Counts",
    "Deleted",
    "Embedded",
    "Failed",
    "FeatureBatch",
    "FeatureTable",
    "Guess",
    "Guesses",
    "Head",
    "JobView",
    "LabelConfig",
    "Pick",
    "Prediction",
    "Project",
    "Publication",
    "PublicationState",
    "Ranking",
    "RemoteBackend",
    "RemoteProject",
    "RemoteTask",
    "RemoteWebhook",
    "RenewalMode",
    "Server",
    "Strategy",
    "Task",
    "TaskState",
    "WorkerView",
]
