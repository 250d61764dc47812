"""The task types by their names, and the rule that a stack keeps the type of its first label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel, NotConfigured
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.task_types.task_type import TaskType


OFFERED = (TaskTypeName.CLASSIFICATION, TaskTypeName.MULTILABEL, TaskTypeName.DETECTION)
"""The types that a deployment can have."""


def task_type_named(name: str) -> TaskType:
    """Return the task type of a name.

    Raises:
        NotConfigured: there is no task type of that name.
    """
    if name == TaskTypeName.CLASSIFICATION:
        from octospoon.domain.task_types.classification import CLASSIFICATION

        return CLASSIFICATION
    if name == TaskTypeName.MULTILABEL:
        from octospoon.domain.task_types.multilabel import MULTILABEL

        return MULTILABEL
    if name == TaskTypeName.DETECTION:
        from octospoon.domain.task_types.detection import DETECTION

        return DETECTION
    raise NotConfigured(f"there is no task type {name!r}: choose one of {', '.join(OFFERED)}")


def check_kind(task_type: TaskType, spec: ModelSpec) -> None:
    """Check that a model with classes predicts what a task type reads.

    Raises:
        BadModel: it predicts boxes for another task type than detection, or no boxes for detection, or its
            probabilities have another meaning.
    """
    detection = task_type.name == TaskTypeName.DETECTION
    if bool(spec.boxes) != detection:
        given, needed = ("boxes", "classes") if spec.boxes else ("classes", "boxes")
        raise BadModel(
            f"the model predicts {given}, and {task_type.name} needs {needed}: TaskType must be the kind of "
            "label that the model was trained for"
        )
    if not detection:
        check_activation(task_type, spec.activation)


def check_activation(task_type: TaskType, activation: str) -> None:
    """Check that the head of a model gives probabilities of a task type.

    Raises:
        BadModel: its probabilities have another meaning.
    """
    if activation != task_type.activation:
        raise BadModel(
            f"the model's head ends with a {activation}, and {task_type.name} needs a "
            f"{task_type.activation}: TaskType must be the kind of label that the model was trained for"
        )


def check_unchanged(kept: str, asked: str) -> None:
    """Check that a stack's task type is that of its labels.

    Args:
        kept: the type of the labels; empty if there is none yet.
        asked: the type of the stack's settings.

    Raises:
        NotConfigured: the types differ.
    """
    if kept not in ("", asked):
        raise NotConfigured(
            f"the stack has labels of the task type {kept}, which cannot become labels of {asked}: set "
            f"TaskType={kept} and deploy again, or make another stack for {asked}. Nothing was changed"
        )
