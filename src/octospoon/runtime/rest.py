"""Read API Gateway's proxy events, and build its responses."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.domain.errors import (
    BadImage,
    BadModel,
    BadRequest,
    OctospoonError,
    RetryableError,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_HEADER = "x-octospoon-secret"  # noqa: S105 - the header's name
MAX_BODY = 6_000_000
"""Bytes that Lambda accepts, counted in base64 unless they are text."""
LARGEST_IMAGE = MAX_BODY // 4 * 3
"""Bytes of the largest image that a request can hold: API Gateway hands it over in Base64."""
_SWITCH = {"true": True, "false": False}


class TooLarge(BadRequest):
    """The body has more bytes than MAX_BODY."""


class NoSuchRoute(BadRequest):
    """No route has this method and path."""


_STATUS: tuple[tuple[type[OctospoonError], int], ...] = (
    (Unauthorized, 401),
    (NoSuchRoute, 404),
    (TooLarge, 413),
    (BadRequest, 400),
    (BadImage, 422),
    (BadModel, 503),
    (RetryableError, 503),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; its body is not decoded yet.

    Attributes:
        method: in upper case.
        path: as the template names it.
        headers: by names in lower case.
        query: the last value of each parameter.
        encoded: the body, in base64 if `is_base64`.
        is_base64: whether `encoded` is base64.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    encoded: str
    is_base64: bool

    @property
    def route(self) -> tuple[str, str]:
        """Method and path."""
        return self.method, self.path

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """Read a proxy event of a REST API."""
        return cls(
            method=event.get("httpMethod") or "",
            path=event.get("resource") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            query=event.get("queryStringParameters") or {},
            encoded=event.get("body") or "",
            is_base64=bool(event.get("isBase64Encoded")),
        )

    def secret(self) -> str:
        """Return the caller's secret: the header SECRET_HEADER, or the password of Basic authentication."""
        if SECRET_HEADER in self.headers:
            return self.headers[SECRET_HEADER]
        kind, _, credentials = self.headers.get("authorization", "").partition(" ")
        try:
            _, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return ""
        return password if kind.lower() == "basic" else ""

    def body(self) -> bytes:
        """Return the body's bytes.

        Raises:
            TooLarge: it has more than MAX_BODY bytes.
            BadRequest: it is neither text nor base64.
        """
        if len(self.encoded) > MAX_BODY:
            raise TooLarge(
                f"a body of {len(self.encoded):,} bytes is over {MAX_BODY:,} (an image of 4.5 MB): upload "
                'the image into the images bucket and ask with {"key": "its object key"}'
            )
        try:
            return base64.b64decode(self.encoded, validate=True) if self.is_base64 else self.encoded.encode()
        except ValueError as error:
            raise BadRequest(f"the body cannot be read: {error}") from error

    def switch(self, name: str) -> bool:
        """Return a query parameter that is ``true`` or ``false``; False if it is missing.

        Raises:
            BadRequest: it is anything else.
        """
        value = self.query.get(name, "false")
        if value.lower() not in _SWITCH:
            raise BadRequest(f"the query parameter {name} must be true or false")
        return _SWITCH[value.lower()]


def answer(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return API Gateway's response with a status and a JSON body."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def refusal(error: OctospoonError) -> dict[str, Any]:
    """Return the response for an error: its text, and the reason if an image is bad.

    Raises:
        OctospoonError: the error itself, if no caller can do anything about it.
    """
    if isinstance(error, BadImage):
        status = 404 if error.reason == "gone" else 422
        return answer(status, {"error": str(error), "reason": error.reason})
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return answer(status, {"error": str(error)})
    raise error
