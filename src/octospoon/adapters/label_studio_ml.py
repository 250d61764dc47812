"""Label Studio's ML backend protocol: its bodies, and the answers that it understands.

Its bodies carry access tokens: only what is named here is looked at, and nothing of a body is logged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from xml.parsers import expat

import msgspec

from octospoon.adapters.label_studio_results import FROM_NAME, NEEDED, TO_NAME, prediction
from octospoon.domain.errors import BadRequest
from octospoon.domain.keys import KEY_BYTES
from octospoon.domain.model_spec import version_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.usecases.predict import Answer

LOG = logging.getLogger(__name__)
T = TypeVar("T")
HEALTH = {"status": "UP", "model_class": "octospoon"}


class _Setup(msgspec.Struct, frozen=True):
    schema: str


class _Task(msgspec.Struct, frozen=True):
    data: dict[str, Any]


class _Tasks(msgspec.Struct, frozen=True):
    tasks: list[_Task]
    label_config: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Label Studio wants predictions of.

    Attributes:
        keys: one object key for each task; empty where its picture is not in the images bucket.
        offered: the classes of the labelling interface.
    """

    keys: tuple[str, ...]
    offered: frozenset[str]


def check_setup(body: bytes) -> None:
    """Check that predictions fit the project that is being connected.

    Raises:
        BadRequest: the body is not Label Studio's, or the project's labelling interface is not ours.
    """
    offered(_decoded(body, _Setup).schema)


def wanted(body: bytes, bucket: str) -> Wanted:
    """Read what Label Studio wants predictions of; its tasks name pictures by their s3:// addresses.

    Raises:
        BadRequest: the body is not Label Studio's, or the project's labelling interface is not ours.
    """
    asked = _decoded(body, _Tasks)
    return Wanted(
        tuple(_key(task.data, f"s3://{bucket}/") for task in asked.tasks), offered(asked.label_config)
    )


def results(asked: Wanted, answers: Sequence[Answer | None]) -> dict[str, Any]:
    """Return the answers, in the order of the tasks: a prediction, or an empty list where there is none."""
    return {"results": [_result(answer, asked.offered) for answer in answers]}


def _result(answer: Answer | None, choices: frozenset[str]) -> dict[str, Any] | list[Any]:
    if answer is None or not answer.classes:
        return []  # a prediction without a class would be kept, and never asked for again
    said = prediction(answer.label, answer.confidence, version_name(answer.model_version), choices)
    if said is None:
        LOG.warning("the prediction %r is left out: the labelling interface lacks it", answer.label)
    return said or []


def _key(data: dict[str, Any], prefix: str) -> str:
    """Return the object key of a task's picture; no other address is ever read."""
    image = data.get("image")
    if not isinstance(image, str) or not image.startswith(prefix):
        LOG.warning("a task has no prediction: its picture is not in the images bucket")
        return ""
    key = image.removeprefix(prefix)
    return key if len(key.encode()) <= KEY_BYTES else ""


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a body of Label Studio's: {error}") from error


def offered(label_config: str) -> frozenset[str]:
    """Return the classes that a labelling interface offers.

    Raises:
        BadRequest: it is not XML, or not one that our predictions fit.
    """
    interface = _Interface()
    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = interface.begin, interface.end
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(label_config, True)
    except (expat.ExpatError, ValueError) as error:
        raise BadRequest(f"the labelling interface is not XML: {error}") from error
    if not (interface.shows and interface.asks):
        raise BadRequest(f"the labelling interface lacks {NEEDED}: no prediction would fit it")
    return frozenset(interface.choices)


def _refuse(*_: object) -> None:
    raise BadRequest("the labelling interface declares a document type: remove it")


@dataclass(slots=True)
class _Interface:
    """What a labelling interface has, as far as it was read."""

    shows: bool = False
    asks: bool = False
    choices: set[str] = field(default_factory=set)
    _within: bool = False

    def begin(self, tag: str, attributes: dict[str, str]) -> None:
        """Look at the beginning of an element."""
        name = attributes.get("name")
        if tag == "Image":
            self.shows |= name == TO_NAME and attributes.get("value") == "$image"
        elif tag == "Choices":
            self._within = name == FROM_NAME and attributes.get("toName") == TO_NAME
            self.asks |= self._within
        elif tag == "Choice" and self._within and "value" in attributes:
            self.choices.add(attributes["value"])

    def end(self, tag: str) -> None:
        """Look at the end of an element."""
        if tag == "Choices":
            self._within = False
