"""Take one Label Studio webhook: verify it, keep what counting needs, queue it, answer."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.domain.errors import BadRequest, Unauthorized
from octospoon.ports import AnnotationBody, TaskBody  # noqa: TC001 - msgspec resolves them

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BODY = 5_000_000
ACTIONS = frozenset(
    {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED"}
)


class Message(msgspec.Struct, frozen=True):
    """What travels from the webhook to the counting."""

    action: str
    project: int
    annotations: list[AnnotationBody]
    tasks: list[TaskBody]


class _Project(msgspec.Struct, frozen=True):
    id: int = 0


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
        if not hmac.compare_digest(given_secret.encode(), self.secret().encode()):
            raise Unauthorized("the secret header is missing or wrong")
        message = parse(body)
        if message is None:
            return False
        self.enqueue(msgspec.json.encode(message).decode())
        return True


def parse(body: bytes) -> Message | None:
    """Reduce a webhook body to what counting needs; None for an action that it does not need.

    Raises:
        BadRequest: the body is too large or not a Label Studio webhook.
    """
    if len(body) > MAX_BODY:
        raise BadRequest(f"a body of {len(body):,} bytes is over {MAX_BODY:,}")
    try:
        whole = msgspec.json.decode(body, type=_Body)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"not a Label Studio webhook: {error}") from error
    if whole.action not in ACTIONS:
        return None
    return Message(
        action=whole.action,
        project=whole.project.id,
        annotations=[*_listed(whole.annotation), *whole.annotations],
        tasks=_listed(whole.task),
    )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - one, many or none of either struct
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
