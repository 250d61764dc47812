"""Read a Label Studio labelling interface: the choices of our control, and the names of other controls.

Label Studio stores a choice under its alias if it has one, otherwise under the text that annotators see.
Either may be the name of a class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from xml.parsers import expat

from octospoon.domain.errors import BadRequest

FROM_NAME = "label"
TO_NAME = "image"
NEEDED = f'<Choices name="{FROM_NAME}" toName="{TO_NAME}"> over <Image name="{TO_NAME}" value="$image">'
"""The elements that a labelling interface must contain."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of our control.

    Attributes:
        value: the text that annotators see.
        alias: the name under which Label Studio stores it; None if it stores the value.
    """

    value: str
    alias: str | None = None

    @property
    def stored(self) -> str:
        """The name in annotations and predictions."""
        return self.alias or self.value

    @property
    def names(self) -> set[str]:
        """The value and the stored name; either may be the name of a class."""
        return {self.value, self.stored}


@dataclass(frozen=True, slots=True)
class Interface:
    """A labelling interface.

    Attributes:
        choices: the choices of our control, in their order.
        required: whether Label Studio refuses an answer without a choice.
        multiple: whether annotators may select several choices.
        others: names of the other controls; their answers are not read.
    """

    choices: tuple[Choice, ...]
    required: bool = True
    multiple: bool = False
    others: tuple[str, ...] = ()

    @property
    def shown(self) -> dict[str, str]:
        """The text that annotators see, by stored name, for choices whose two names differ."""
        return {choice.stored: choice.value for choice in self.choices if choice.stored != choice.value}

    @property
    def stored(self) -> dict[str, str]:
        """The stored name, by each name that belongs to one choice only."""
        times = Counter(name for choice in self.choices for name in choice.names)
        return {name: choice.stored for choice in self.choices for name in choice.names if times[name] == 1}


def parse_interface(label_config: str) -> Interface:
    """Parse a labelling interface.

    Args:
        label_config: the XML text.

    Raises:
        BadRequest: the text is not XML, or the interface lacks our control or image.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = reader.begin, reader.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(label_config, True)
    except (expat.ExpatError, ValueError) as error:
        raise BadRequest(f"the labelling interface is not XML: {error}") from error
    if not reader.shows_image or reader.control is None:
        raise BadRequest(f"the labelling interface lacks {NEEDED}: no prediction would fit it")
    control = reader.control
    return Interface(
        tuple(reader.choices),
        required=control.get("required", "").lower() == "true",
        multiple=control.get("choice", "single") == "multiple",
        others=tuple(reader.others),
    )


def _refuse(*_: object) -> None:
    raise BadRequest("the labelling interface declares a document type: remove it")


@dataclass(slots=True)
class _Reader:
    """The parts of a labelling interface read so far, and the handlers of the XML parser."""

    shows_image: bool = False
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
            self.others.append(name)

    def end(self, tag: str) -> None:
        """Handle the end of an element."""
        if tag == "Choices":
            self._within = False
