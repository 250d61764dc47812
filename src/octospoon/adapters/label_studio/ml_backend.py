"""Label Studio's ML backend protocol: its bodies, and the answers that it understands.

Its bodies carry access tokens: only what is named here is looked at, and nothing of a body is logged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from octospoon.adapters.label_studio.results import prediction
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.addresses import shown_key
from octospoon.domain.labelling.interface import parse_interface
from octospoon.domain.model_spec import version_name
from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        stored: by class, the name of its choice in Label Studio; see `Interface.stored`.
    """

    keys: tuple[str, ...]
    stored: Mapping[str, str]


def check_setup(body: bytes) -> None:
    """Check that predictions fit the project that is being connected.

    Raises:
        BadRequest: the body is not Label Studio's, or the project's labelling interface is not ours.
    """
    parse_interface(_decoded(body, _Setup).schema)


def wanted(body: bytes, bucket: str) -> Wanted:
    """Read what Label Studio wants predictions of; its tasks name pictures by their s3:// addresses.

    Raises:
        BadRequest: the body is not Label Studio's, or the project's labelling interface is not ours.
    """
    asked = _decoded(body, _Tasks)
    keys = tuple(_key(task.data, bucket) for task in asked.tasks)
    return Wanted(keys, parse_interface(asked.label_config).stored)


def results(asked: Wanted, answers: Sequence[Answer | None]) -> dict[str, Any]:
    """Return the answers, in the order of the tasks: a prediction, or an empty list where there is none."""
    return {"results": [_result(answer, asked.stored) for answer in answers]}


def _result(answer: Answer | None, stored: Mapping[str, str]) -> dict[str, Any] | list[Any]:
    if answer is None or not answer.classes:
        return []  # a prediction without a class would be kept, and never asked for again
    said = prediction(answer.label, answer.confidence, version_name(answer.model_version), stored)
    if said is None:
        LOG.warning("the prediction %r is left out: the labelling interface lacks it", answer.label)
    return said or []


def _key(data: dict[str, Any], bucket: str) -> str:
    """Return the object key of the picture that annotators see; no other address is ever read."""
    image = data.get("image")
    key = shown_key(bucket, image) if isinstance(image, str) else ""
    if not key:
        LOG.warning("a task has no prediction: its picture is not in the images bucket")
    return key if len(key.encode()) <= KEY_BYTES else ""


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a body of Label Studio's: {error}") from error
