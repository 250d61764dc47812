"""The control of the task type with boxes: ``RectangleLabels``, which annotators draw over the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio import labelling_interface, rectangles
from octospoon.adapters.label_studio.interface import RECTANGLES, parse_interface

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.domain.labelling.answers import Answer
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.interface import Interface


class RectangleLabels:
    """Implements `octospoon.adapters.label_studio.control.Control`."""

    tags = RECTANGLES

    def written(self, classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
        """Return the labelling interface."""
        return labelling_interface.rectangle_interface(classes, stored)

    def wrote(self, label_config: str, history: ClassHistory | None = None) -> bool:
        """Return True if octospoon made this labelling interface, and nobody changed it."""
        return labelling_interface.is_our_rectangles(label_config, history)

    def parsed(self, label_config: str) -> Interface:
        """Parse a labelling interface.

        Raises:
            BadRequest: it is not an interface for boxes.
        """
        return parse_interface(label_config, RECTANGLES)

    def problems(self, interface: Interface) -> list[str]:
        """Return why annotators could not give every answer."""
        ask = 'it refuses an answer without a box, which means no objects: remove required="true"'
        return [ask] if interface.required else []

    def read(self, result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        """Return the boxes in the result of a submitted annotation; none are a label too."""
        return rectangles.read(result, classes)

    def reduced(self, result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
        """Reduce a result to the places and classes of its boxes."""
        return rectangles.reduced(result, shown)

    def left_out(self, result: Sequence[Any] | None) -> int:
        """Return 0: what is no box stays in the reduced result, and its reader counts it."""
        del result
        return 0

    def result(self, label: str, stored: Mapping[str, str] | None = None) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with boxes."""
        return rectangles.written(label, stored)
