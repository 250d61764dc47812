"""Bodies of `predict` -> which picture is asked about."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.keys import KEY_BYTES

T = TypeVar("T")
_HOW = (
    'send a picture\'s bytes, {"image": "its bytes in base64"} or {"key": "its key in the images bucket"}; '
    'with an image also "add": true'
)


@dataclass(frozen=True, slots=True)
class Question:
    """One picture, and what is to become of it.

    Attributes:
        data: its bytes; empty where it is in the images bucket already.
        key: its object key there; empty where it was sent along.
        add: whether it is to join the pool.
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
    """Say whether a body is JSON: no picture begins like an object."""
    return "json" in content_type.lower() or body.lstrip()[:1] == b"{"


def is_label_studio(body: bytes) -> bool:
    """Say whether a JSON body comes from Label Studio: it has tasks.

    Raises:
        BadRequest: it is no JSON object.
    """
    return bool(bytes(_decoded(body, _Outline).tasks))


def question(body: bytes, *, add: bool) -> Question:
    """Read a JSON body of our own; `add` may be said in it too.

    Raises:
        BadRequest: with what it must be.
    """
    asked = _decoded(body, _Json)
    if (asked.image is None) == (asked.key is None):
        raise BadRequest(f"one picture, please: {_HOW}")
    if asked.image is not None:
        return Question(_bytes(asked.image), add=add or asked.add)
    key = asked.key or ""
    if add or asked.add:
        raise BadRequest("what has a key is in the images bucket already: leave add out")
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
        # without the error: it names fields, and what a body holds is nobody's to log
        raise BadRequest(f"the body is not as it must be: {_HOW}") from error
