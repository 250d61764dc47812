"""The control of the task type with one class per image: ``Choices`` of which annotators choose one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio import choices, labelling_interface
from octospoon.adapters.label_studio.control import shapes
from octospoon.adapters.label_studio.interface import CHOICES, check_kind, parse_interface
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.domain.labelling.answers import Answer
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.interface import Interface


class SingleChoice:
    """Implements `octospoon.adapters.label_studio.control.Control`."""

    tags = CHOICES

    def written(self, classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
        """Return the labelling interface."""
        return labelling_interface.labelling_interface(classes, stored)

    def wrote(self, label_config: str, history: ClassHistory | None = None) -> bool:
        """Return True if octospoon made this labelling interface, and nobody changed it."""
        return labelling_interface.is_ours(label_config, history)

    def parsed(self, label_config: str) -> Interface:
        """Parse a labelling interface.

        Raises:
            BadRequest: it is not an interface for one class per image.
        """
        interface = parse_interface(label_config)
        check_kind(interface, TaskTypeName.CLASSIFICATION)
        return interface

    def problems(self, interface: Interface) -> list[str]:
        """Return why some answers would not count."""
        ask = 'it lets annotators submit without a class: add required="true" to our <Choices>'
        return [] if interface.required else [ask]

    def read(self, result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        """Return the class that the result of a submitted annotation names, or why it names none."""
        return choices.read(result, classes)

    def reduced(self, result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
        """Reduce a result to at most two names, enough to detect that there are several."""
        return choices.reduced(result, shown)

    def left_out(self, result: Sequence[Any] | None) -> int:
        """Return the number of shapes and relations in a result."""
        return sum(1 for _ in shapes(result))

    def result(self, label: str, stored: Mapping[str, str] | None = None) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a class."""
        name = label if stored is None else stored.get(label)
        return None if name is None else [choices.choice(name)]
