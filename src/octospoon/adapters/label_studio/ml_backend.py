"""Label Studio's ML backend protocol: request bodies and answers.

Request bodies contain access tokens. Only the fields named here are decoded, and no body is logged.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from octospoon.adapters.label_studio.results import prediction
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.addresses import shown_key
from octospoon.domain.model_spec import version_name
from octospoon.domain.pool.keys import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.adapters.label_studio.control import Control
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
class PredictionRequest:
    """A request for predictions.

    Attributes:
        keys: an object key for each task; empty if its image is not in the images bucket.
        stored: the name of each class's choice in Label Studio; see `Interface.stored`.
        control: of the task type.
    """

    keys: tuple[str, ...]
    stored: Mapping[str, str]
    control: Control


def check_setup(body: bytes, control: Control) -> None:
    """Check that predictions fit the project that is being connected.

    Raises:
        BadRequest: the body is not from Label Studio, or octospoon cannot use the labelling interface.
    """
    control.parsed(_decoded(body, _Setup).schema)


def prediction_request(body: bytes, bucket: str, control: Control) -> PredictionRequest:
    """Decode a request for predictions; its tasks name images by their s3:// addresses.

    Raises:
        BadRequest: the body is not from Label Studio, or octospoon cannot use the labelling interface.
    """
    request = _decoded(body, _Tasks)
    keys = tuple(_key(task.data, bucket) for task in request.tasks)
    return PredictionRequest(keys, control.parsed(request.label_config).stored, control)


def results(request: PredictionRequest, answers: Sequence[Answer | None]) -> dict[str, Any]:
    """Return the answer for each task, in order: a prediction, or an empty list for none."""
    return {"results": [_result(answer, request) for answer in answers]}


def _result(answer: Answer | None, request: PredictionRequest) -> dict[str, Any] | list[Any]:
    if answer is None or answer.predicted is None:
        return []  # Label Studio would store a prediction without a class, and never ask again
    label, confidence = answer.predicted.label, answer.predicted.confidence
    version = version_name(answer.model_version)
    shown = prediction(request.control, label, confidence, version, request.stored)
    if shown is None:
        LOG.warning("a prediction is left out: the labelling interface does not offer the label %r", label)
    return shown or []


def _key(data: dict[str, Any], bucket: str) -> str:
    """Return the object key of the image that annotators see; other addresses are never read."""
    image = data.get("image")
    key = shown_key(bucket, image) if isinstance(image, str) else ""
    if not key:
        LOG.warning("a task has no prediction: its image is not in the images bucket")
    return key if len(key.encode()) <= KEY_BYTES else ""


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a body of Label Studio's: {error}") from error
