"""Read the bodies of requests to `predict`: which image is to be predicted."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.keys import KEY_BYTES

T = TypeVar("T")
_HOW = (
    'send an image\'s bytes, {"image": "its bytes in base64"} or {"key": "its key in the images bucket"}; '
    'with an image, you may add "add": true'
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request for the prediction of one image.

    Attributes:
        data: the image's bytes; empty if the image is in the images bucket already.
        key: the object key in the images bucket; empty if the bytes were sent.
        add: whether to add the image to the pool.
    """

    data: bytes
    key: str = ""
    add: bool = False


class _Json(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str | None = None
    key: str | None = None
    add: bool = False


class _Outline(msgspec.Struct, frozen=True):
    tasks: msgspec.Raw = msgspec.Raw()


def is_json(body: bytes, content_type: str) -> bool:
    """Return whether a body is JSON; no image begins like a JSON object."""
    return "json" in content_type.lower() or body.lstrip()[:1] == b"{"


def is_label_studio(body: bytes) -> bool:
    """Return whether a JSON body comes from Label Studio, which sends tasks.

    Raises:
        BadRequest: it is not a JSON object.
    """
    return bool(bytes(_decoded(body, _Outline).tasks))


def question(body: bytes, *, add: bool) -> Question:
    """Read a JSON body that is not Label Studio's; `add` may stand in it too.

    Raises:
        BadRequest: the body is wrong; the message says how it must be.
    """
    request = _decoded(body, _Json)
    if (request.image is None) == (request.key is None):
        raise BadRequest(f"the body must have one image: {_HOW}")
    if request.image is not None:
        return Question(_bytes(request.image), add=add or request.add)
    key = request.key or ""
    if add or request.add:
        raise BadRequest("an image with a key is in the images bucket already: leave add out")
    if not 1 <= len(key.encode()) <= KEY_BYTES:
        raise BadRequest(f"an object key has 1 to {KEY_BYTES} bytes")
    return Question(b"", key)


def _bytes(image: str) -> bytes:
    try:
        return base64.b64decode(image, validate=True)
    except ValueError as error:
        raise BadRequest(f"image is not base64: {error}") from error


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # without the error: it names fields, and no content of a body may be logged
        raise BadRequest(f"the body cannot be read: {_HOW}") from error
