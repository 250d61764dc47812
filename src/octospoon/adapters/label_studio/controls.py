"""The controls, by the name of their task type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.control import Control
    from octospoon.domain.task_types.task_type import TaskType

_CONTROLS: dict[str, Control] = {
    TaskTypeName.CLASSIFICATION: SingleChoice(),
    TaskTypeName.MULTILABEL: MultipleChoice(),
    TaskTypeName.DETECTION: RectangleLabels(),
}


def control_of(task_type: TaskType) -> Control:
    """Return the control that asks for labels of a task type."""
    return control_named(task_type.name)


def control_named(name: str) -> Control:
    """Return the control of the task type with this name."""
    return _CONTROLS[name]
