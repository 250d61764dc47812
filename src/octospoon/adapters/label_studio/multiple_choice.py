"""The control of the task type with several classes per image: ``Choices`` of which annotators tick any."""

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


class MultipleChoice:
    """Implements `octospoon.adapters.label_studio.control.Control`."""

    tags = CHOICES

    def written(self, classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
        """Return the labelling interface."""
        return labelling_interface.multiple_choice_interface(classes, stored)

    def wrote(self, label_config: str, history: ClassHistory | None = None) -> bool:
        """Return True if octospoon made this labelling interface, and nobody changed it."""
        return labelling_interface.is_our_multiple_choice(label_config, history)

    def parsed(self, label_config: str) -> Interface:
        """Parse a labelling interface.

        Raises:
            BadRequest: it is not an interface for several classes per image.
        """
        interface = parse_interface(label_config)
        check_kind(interface, TaskTypeName.MULTILABEL)
        return interface

    def problems(self, interface: Interface) -> list[str]:
        """Return why annotators could not give every answer."""
        ask = 'it refuses an answer without a class, which means none of them: remove required="true"'
        return [ask] if interface.required else []

    def read(self, result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        """Return the classes that the result of a submitted annotation names; none is a label too."""
        return choices.read_all(result, classes)

    def reduced(self, result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
        """Reduce a result to the names of its choices."""
        return choices.reduced_all(result, shown)

    def left_out(self, result: Sequence[Any] | None) -> int:
        """Return the number of shapes and relations in a result."""
        return sum(1 for _ in shapes(result))

    def result(self, label: str, stored: Mapping[str, str] | None = None) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label; empty for none of the classes."""
        # `webhook` is packaged without numpy, which the package of the task type loads
        from octospoon.domain.task_types.multilabel.label import ClassNames

        names = sorted(ClassNames().read(label))
        if stored is not None and not stored.keys() >= set(names):
            return None
        return choices.chosen(names if stored is None else [stored[name] for name in names])
