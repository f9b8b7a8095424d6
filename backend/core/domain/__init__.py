"""The nouns of the program: frozen values that cross the borders between parts.

Times are seconds since the epoch (float, UTC). `project` is always OUR id of a project, `ls_id` Label Studio's.
"""

from backend.core.domain.features import Backbone, Embedded, Failed, FeatureBatch, FeatureTable
from backend.core.domain.heads import AuditAccuracy, AuditReport, Considered, LearningReport, Mistake, SetFigures
from backend.core.domain.projects import (
    LARGEST_ID,
    READING,
    LabelConfig,
    Project,
    Strategy,
    is_another,
    ls_id_of,
)
from backend.core.domain.rankings import (
    GUESSES,
    PUBLICATION_MOVES,
    Guess,
    Guesses,
    Head,
    Inputs,
    Pick,
    Publication,
    PublicationState,
    Ranking,
)
from backend.core.domain.remote import (
    TITLE,
    Prediction,
    RemoteBackend,
    RemoteProject,
    RemoteTask,
    RemoteWebhook,
    Server,
)
from backend.core.domain.settings import DEFAULTS, SETTINGS, ProjectSettings, RenewalMode, Setting
from backend.core.domain.targets import NO_TARGET, Control, Kind, Label, Option, Target
from backend.core.domain.tasks import MOST_PAGES, PLAIN, Annotation, Claim, Counts, Deleted, Pages, Task, TaskState
from backend.core.domain.work import Caller, JobView, Knock, WorkerView

__all__ = [
    "DEFAULTS",
    "GUESSES",
    "LARGEST_ID",
    "MOST_PAGES",
    "NO_TARGET",
    "PLAIN",
    "PUBLICATION_MOVES",
    "READING",
    "SETTINGS",
    "TITLE",
    "Annotation",
    "AuditAccuracy",
    "AuditReport",
    "Backbone",
    "Caller",
    "Claim",
    "Considered",
    "Control",
    "Counts",
    "Deleted",
    "Embedded",
    "Failed",
    "FeatureBatch",
    "FeatureTable",
    "Guess",
    "Guesses",
    "Head",
    "Inputs",
    "JobView",
    "Kind",
    "Knock",
    "Label",
    "LabelConfig",
    "LearningReport",
    "Mistake",
    "Option",
    "Pages",
    "Pick",
    "Prediction",
    "Project",
    "ProjectSettings",
    "Publication",
    "PublicationState",
    "Ranking",
    "RemoteBackend",
    "RemoteProject",
    "RemoteTask",
    "RemoteWebhook",
    "RenewalMode",
    "Server",
    "SetFigures",
    "Setting",
    "Strategy",
    "Target",
    "Task",
    "TaskState",
    "WorkerView",
    "is_another",
    "ls_id_of",
]
