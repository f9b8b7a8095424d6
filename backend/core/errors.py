"""The errors of this program, one tree. Each text says what is wrong and what to do.

A `UserError` is the caller's to fix (HTTP 4xx, CLI exit 2); everything else is ours or the world's.
"""

from __future__ import annotations


class LabelQueueError(Exception):
    """Root of our errors."""


class UserError(LabelQueueError):
    """The request cannot be done as it was said."""


class UnknownProject(UserError):
    """No connected project has that id."""

    def __init__(self, project: int | str) -> None:
        super().__init__(f"project {project} is not connected; run: labelqueue connect {project}")


class AnotherProject(LabelQueueError):
    """The project under that Label Studio id is another one than ours, which only a worker may replace."""


class BadSetting(UserError):
    """A setting, strategy name or parameter is not known or out of range."""


class BadImage(LabelQueueError):
    """An image cannot be fetched or decoded; the text is the reason that people see in the task list."""


class LabelStudioError(LabelQueueError):
    """Label Studio cannot be used now."""


class LabelStudioDown(LabelStudioError):
    """Label Studio does not answer (refused, timed out, 502-504); trying again later may help.

    For a write this means that it is unknown whether it took effect.
    """


class LabelStudioRefused(LabelStudioError):
    """Label Studio answered no; `status` is its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class LeaseLost(LabelQueueError):
    """Another worker took over the publishing of this project: what was begun under the old token must not go on."""


class ImpossibleMove(LabelQueueError):
    """A publication cannot go from the state that it is in to the one asked for."""


class QueueDown(LabelQueueError):
    """Redis/Valkey does not answer."""


class StorageError(LabelQueueError):
    """The feature store cannot be read or written."""


class BackboneError(LabelQueueError):
    """A backbone's weights cannot be found, read or used."""


class TrainingFailed(LabelQueueError):
    """A fine-tuning cannot go on, however often it is tried; its feature version is marked failed with this text."""
