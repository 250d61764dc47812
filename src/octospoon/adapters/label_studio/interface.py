"""Read a Label Studio labelling interface: the choices of our control, and the names of other controls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.interface import Choice, Interface
from octospoon.domain.task_types.names import TaskTypeName

FROM_NAME = "label"
TO_NAME = "image"
_ASKED = {
    TaskTypeName.CLASSIFICATION: "choose one class",
    TaskTypeName.MULTILABEL: "choose any classes",
}
_CHOICE = {
    TaskTypeName.CLASSIFICATION: 'choice="single"',
    TaskTypeName.MULTILABEL: 'choice="multiple"',
}


class OtherKind(BadRequest):
    """A labelling interface is one of another task type."""


class Tags(NamedTuple):
    """The elements of a control, and of each class within it."""

    control: str
    option: str

    @property
    def needed(self) -> str:
        """The elements that a labelling interface must contain."""
        image = f'<Image name="{TO_NAME}" value="$image">'
        return f'<{self.control} name="{FROM_NAME}" toName="{TO_NAME}"> over {image}'


CHOICES = Tags("Choices", "Choice")
RECTANGLES = Tags("RectangleLabels", "Label")
_RIVALS = {
    CHOICES: (RECTANGLES, "detection, where annotators draw boxes: choices need"),
    RECTANGLES: (CHOICES, "classification or multilabel, where annotators choose classes: boxes need"),
}


def parse_interface(label_config: str, tags: Tags = CHOICES) -> Interface:
    """Parse a labelling interface.

    Args:
        label_config: the XML text.
        tags: the elements of our control.

    Raises:
        BadRequest: the text is not XML, or the interface lacks our control or image.
        OtherKind: annotators answer with the other of `CHOICES` and `RECTANGLES`.
    """
    reader = _Reader(tags)
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.begin, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(label_config, True)
    except (expat.ExpatError, ValueError) as error:
        raise BadRequest(f"the labelling interface is not XML: {error}") from error
    if reader.control is None and reader.rival:
        raise OtherKind(f"the labelling interface is one of {_RIVALS[tags][1]} {tags.needed}")
    if not reader.shows_image or reader.control is None:
        raise BadRequest(f"the labelling interface lacks {tags.needed}: no prediction would fit it")
    control = reader.control
    return Interface(
        tuple(reader.choices),
        required=control.get("required", "").lower() == "true",
        multiple=control.get("choice", "single") == "multiple",
        others=tuple(reader.others),
    )


def check_kind(interface: Interface, kind: TaskTypeName) -> None:
    """Check that annotators answer an interface as a task type needs it.

    Args:
        interface: with choices.
        kind: the task type.

    Raises:
        OtherKind: it is the interface of another task type.
    """
    other = TaskTypeName.MULTILABEL if interface.multiple else TaskTypeName.CLASSIFICATION
    if other != kind:
        raise OtherKind(
            f"the labelling interface is one of {other}, where annotators {_ASKED[other]}: {kind} needs "
            f"{_CHOICE[kind]} in our <Choices>"
        )


def _refuse(*_: object) -> None:
    raise BadRequest("the labelling interface declares a document type: remove it")


@dataclass(slots=True)
class _Reader:
    """The parts of a labelling interface read so far, and the handlers of the XML parser."""

    tags: Tags
    shows_image: bool = False
    rival: bool = False
    control: dict[str, str] | None = None
    choices: list[Choice] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    _within: bool = False

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        name, to_names = attributes.get("name"), attributes.get("toName", "").split(",")
        if tag == "Image":
            self.shows_image |= name == TO_NAME and attributes.get("value") == "$image"
        elif tag == self.tags.control and name == FROM_NAME and TO_NAME in to_names:
            self._within, self.control = True, attributes
        elif tag == self.tags.option and self._within and "value" in attributes:
            self.choices.append(Choice(attributes["value"], attributes.get("alias") or None))
        elif name and "toName" in attributes:
            self.rival |= tag == _RIVALS[self.tags][0].control and TO_NAME in to_names
            self.others.append(name)

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        if tag == self.tags.control:
            self._within = False
