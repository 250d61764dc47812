"""Take one Label Studio webhook: verify it, keep what counting needs, queue it, answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.domain.errors import BadRequest, Unauthorized
from octospoon.domain.labelling.answers import reduced
from octospoon.domain.labelling.interface import parse_interface
from octospoon.domain.pool.keys import image_id
from octospoon.ports.labelling import AnnotationBody, TaskBody
from octospoon.usecases.shared_secret import same_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LOG = logging.getLogger(__name__)
MAX_BODY = 5_000_000
MAX_MESSAGE = 200_000
"""Bytes of annotations and tasks in one queued message; SQS takes 262,144 in all."""
ACTIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"}
)
TEST_ACTION = "OCTOSPOON_TEST"
"""What `doctor` sends: verified as every other action, and counted as none."""


class Message(msgspec.Struct, frozen=True):
    """What travels from the webhook to the counting."""

    action: str
    project: int
    annotations: list[AnnotationBody]
    tasks: list[TaskBody]
    project_created_at: str = ""


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


@dataclass(frozen=True, slots=True)
class ReceiveWebhook:
    """The use case.

    Attributes:
        secret: gives the shared secret that the header must carry.
        enqueue: keeps one encoded message; what it has taken is not lost.
    """

    secret: Callable[[], str]
    enqueue: Callable[[str], None]

    def __call__(self, body: bytes, given_secret: str) -> bool:
        """Take one request; say whether it was queued (False: an action that counting does not need).

        Raises:
            Unauthorized: the secret is missing or wrong.
            BadRequest: the body is too large or not a Label Studio webhook.
        """
        if not same_secret(given_secret, self.secret()):
            raise Unauthorized("the secret header is missing or wrong")
        messages = parse(body)
        for message in messages:
            self.enqueue(msgspec.json.encode(message).decode())
            images = [image_id(task.key, task.etag) for task in message.tasks if task.key]
            LOG.info("queued %s", message.action, extra={"images": images})
        return bool(messages)


def parse(body: bytes) -> list[Message]:
    """Reduce a webhook body to what counting needs, in messages that the queue takes; none for other actions.

    Raises:
        BadRequest: the body is too large or not a Label Studio webhook.
    """
    if len(body) > MAX_BODY:
        raise BadRequest(f"a body of {len(body):,} bytes is over {MAX_BODY:,}")
    try:
        # only what is counted is looked into: other actions may bring any form
        if msgspec.json.decode(body, type=_Header).action not in ACTIONS:
            return []
        whole = msgspec.json.decode(body, type=_Body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"not a Label Studio webhook: {error}") from error
    tasks = {task.id: _task(task) for task in _listed(whole.task)}
    shown = _shown(whole.project.label_config)
    annotations = [_annotation(one, shown) for one in [*_listed(whole.annotation), *whole.annotations]]
    return [
        Message(
            whole.action,
            whole.project.id,
            part,
            [tasks[i] for i in {one.task for one in part} & tasks.keys()],
            whole.project.created_at,
        )
        for part in _parts(annotations, tasks)
    ]


def _parts(annotations: list[AnnotationBody], tasks: dict[int, TaskBody]) -> Iterator[list[AnnotationBody]]:
    """Yield the annotations in parts whose messages, with their tasks, are small enough."""
    part: list[AnnotationBody] = []
    size = 0
    for one in annotations:
        length = len(msgspec.json.encode((one, tasks.get(one.task))))
        if part and size + length > MAX_MESSAGE:
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    if part:
        yield part


def _task(task: TaskBody) -> TaskBody:
    """Leave of a task's data what names the image: people keep anything else there."""
    return TaskBody(task.id, {"key": task.key, "etag": task.etag})


def _annotation(body: AnnotationBody, shown: Mapping[str, str]) -> AnnotationBody:
    """Leave of an annotation's result what decides on its class."""
    return msgspec.structs.replace(body, result=reduced(body.result, shown))


def _shown(label_config: object) -> Mapping[str, str]:
    """Return what annotators saw, by the name that Label Studio stores; see `Interface.shown`."""
    if not isinstance(label_config, str):
        return {}
    try:
        return parse_interface(label_config).shown
    except BadRequest as error:
        LOG.warning("an annotation of a project whose interface is not ours: %s", error)
        return {}


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - one, many or none of either struct
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
