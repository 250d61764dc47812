"""The names of the task types.

They are apart from the types, because `webhook` is packaged without the libraries that the types need.
"""

from __future__ import annotations

from enum import StrEnum


class TaskTypeName(StrEnum):
    """The name of a task type."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    DETECTION = "detection"
