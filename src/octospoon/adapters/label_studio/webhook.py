"""Reduce a webhook of Label Studio's to what counting needs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.adapters.label_studio.control import reduced_annotation
from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.domain.errors import BadRequest
from octospoon.ports.labelling import AnnotationBody, Message, TaskBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from octospoon.adapters.label_studio.control import Control

LOG = logging.getLogger(__name__)
MAX_BODY = 5_000_000
MAX_MESSAGE = 200_000
"""Bytes of annotations and tasks in one queued message; SQS takes 262,144 in all."""
ACTIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"}
)
TEST_ACTION = "OCTOSPOON_TEST"
"""The action that `doctor` sends: it is verified like every other action, and never counted."""


class _Project(msgspec.Struct, frozen=True):
    id: int = 0
    label_config: Any = None
    created_at: str = ""


class _Header(msgspec.Struct, frozen=True):
    action: str


class _Body(msgspec.Struct, frozen=True):
    # Label Studio puts lists under the singular names for bulk actions
    action: str
    project: _Project = _Project()
    annotation: AnnotationBody | list[AnnotationBody] | None = None
    annotations: list[AnnotationBody] = []
    task: TaskBody | list[TaskBody] | None = None


def parse(body: bytes, control: Control) -> list[Message]:
    """Reduce a webhook body to what counting needs, in messages that the queue takes; none for other actions.

    Raises:
        BadRequest: the body is too large or not a Label Studio webhook.
    """
    if len(body) > MAX_BODY:
        raise BadRequest(f"a body of {len(body):,} bytes is over {MAX_BODY:,}")
    try:
        # only counted actions are decoded: other actions may have any form
        if msgspec.json.decode(body, type=_Header).action not in ACTIONS:
            return []
        whole = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a Label Studio webhook: {error}") from error
    tasks = {task.id: _task(task) for task in _listed(whole.task)}
    shown = _shown(whole.project.label_config, control)
    annotations = [
        reduced_annotation(body, shown, control) for body in [*_listed(whole.annotation), *whole.annotations]
    ]
    return [
        Message(
            whole.action,
            whole.project.id,
            part,
            [tasks[id_] for id_ in {annotation.task for annotation in part} & tasks.keys()],
            whole.project.created_at,
        )
        for part in _parts(annotations, tasks)
    ]


def _parts(annotations: list[AnnotationBody], tasks: dict[int, TaskBody]) -> Iterator[list[AnnotationBody]]:
    """Yield the annotations in parts whose messages, with their tasks, are small enough."""
    part: list[AnnotationBody] = []
    size = 0
    for annotation in annotations:
        length = len(msgspec.json.encode((annotation, tasks.get(annotation.task))))
        if part and size + length > MAX_MESSAGE:
            yield part
            part, size = [], 0
        part.append(annotation)
        size += length
    if part:
        yield part


def _task(task: TaskBody) -> TaskBody:
    """Keep only the data that names the image: people store anything else in tasks."""
    return TaskBody(task.id, {"key": task.key, "etag": task.etag})


def _shown(label_config: object, control: Control) -> Mapping[str, str]:
    """Return the labels as annotators saw them, by stored name; see `Interface.shown`."""
    if not isinstance(label_config, str):
        return {}
    try:
        return parse_interface(label_config, control.tags).shown
    except BadRequest as error:
        LOG.warning("an annotation comes from a project with another labelling interface: %s", error)
        return {}


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - one, many or none of either struct
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
