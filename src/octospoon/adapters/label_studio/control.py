"""How Label Studio asks for a kind of label, and what its answers mean: one control for each task type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.adapters.label_studio.interface import Tags
    from octospoon.domain.labelling.answers import Answer
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.interface import Interface
    from octospoon.ports.labelling import AnnotationBody


_SHAPES = frozenset(
    ("rectangle", "ellipse", "polygon", "brush", "bitmask", "keypoint", "vector", "cuboid", "relation")
)
"""Label Studio's types of regions on an image, without the ending of controls that name a class."""


class Control(Protocol):
    """The control of one task type, in every direction."""

    @property
    def tags(self) -> Tags:
        """The elements of the control in a labelling interface."""

    def written(self, classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
        """Return the labelling interface, as Label Studio's XML.

        Args:
            classes: names of the classes, as annotators see them.
            stored: the name that Label Studio stores, for each class that was renamed.
        """

    def wrote(self, label_config: str, history: ClassHistory | None = None) -> bool:
        """Return True if octospoon made this labelling interface, for any classes, and nobody changed it.

        Args:
            label_config: the XML text.
            history: of the project's classes, whose renamed ones have an alias.
        """

    def parsed(self, label_config: str) -> Interface:
        """Parse a labelling interface.

        Args:
            label_config: the XML text.

        Raises:
            BadRequest: the text is not XML, or the interface is not one of this task type.
        """

    def problems(self, interface: Interface) -> list[str]:
        """Return how a parsed interface asks for other answers than this task type needs, each with advice.

        `octospoon.domain.health.interface_problems` has the problems of its classes.
        """

    def read(self, result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
        """Return the label in the result of a submitted annotation; see `AnswerReader`."""

    def reduced(self, result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
        """Reduce a result to what decides its label.

        Args:
            result: the result as Label Studio stores it.
            shown: the text that annotators saw, by the name that Label Studio stores; see `Interface.shown`.
        """

    def left_out(self, result: Sequence[Any] | None) -> int:
        """Return the number of shapes and relations in a result that are no part of a label."""

    def result(self, label: str, stored: Mapping[str, str] | None = None) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label; None if the interface does not offer it.

        Args:
            label: in its stored form.
            stored: the name of each class's choice in Label Studio, see `Interface.stored`; None if Label
                Studio stores the names of the classes.
        """


def shapes(result: Sequence[Any] | None) -> Iterator[str]:
    """Yield the type of each region of a result that is a shape on the image, or a relation of two."""
    for region in result or ():
        kind = region.get("type") if isinstance(region, dict) else None
        if isinstance(kind, str) and kind.removesuffix("labels") in _SHAPES:
            yield kind


def reduced_annotation(body: AnnotationBody, shown: Mapping[str, str], control: Control) -> AnnotationBody:
    """Keep only the part of an annotation's result that decides its label; see `Control.reduced`."""
    reduced = control.reduced(body.result, shown)
    return msgspec.structs.replace(body, result=reduced, left_out=control.left_out(body.result))
