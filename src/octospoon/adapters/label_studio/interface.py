"""Read a Label Studio labelling interface: the choices of our control, and the names of other controls."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.parsers import expat

from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.interface import Choice, Interface
from octospoon.domain.task_types.names import TaskTypeName

FROM_NAME = "label"
TO_NAME = "image"
NEEDED = f'<Choices name="{FROM_NAME}" toName="{TO_NAME}"> over <Image name="{TO_NAME}" value="$image">'
"""The elements that a labelling interface must contain."""
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


def parse_interface(label_config: str) -> Interface:
    """Parse a labelling interface.

    Args:
        label_config: the XML text.

    Raises:
        BadRequest: the text is not XML, or the interface lacks our control or image.
        OtherKind: annotators draw boxes.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.begin, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(label_config, True)
    except (expat.ExpatError, ValueError) as error:
        raise BadRequest(f"the labelling interface is not XML: {error}") from error
    if reader.control is None and reader.boxes:
        raise OtherKind(
            f"the labelling interface is one of detection, where annotators draw boxes: choices need {NEEDED}"
        )
    if not reader.shows_image or reader.control is None:
        raise BadRequest(f"the labelling interface lacks {NEEDED}: no prediction would fit it")
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

    shows_image: bool = False
    boxes: bool = False
    control: dict[str, str] | None = None
    choices: list[Choice] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    _within: bool = False

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        name, to_names = attributes.get("name"), attributes.get("toName", "").split(",")
        if tag == "Image":
            self.shows_image |= name == TO_NAME and attributes.get("value") == "$image"
        elif tag == "Choices" and name == FROM_NAME and TO_NAME in to_names:
            self._within, self.control = True, attributes
        elif tag == "Choice" and self._within and "value" in attributes:
            self.choices.append(Choice(attributes["value"], attributes.get("alias") or None))
        elif name and "toName" in attributes:
            self.boxes |= tag == "RectangleLabels" and TO_NAME in to_names
            self.others.append(name)

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        if tag == "Choices":
            self._within = False
