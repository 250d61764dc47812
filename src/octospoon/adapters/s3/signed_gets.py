"""Fast reads of many objects of one bucket, with botocore's signer and http.client only.

`get_object` spends more processor time on its own overhead than on signing, sending and receiving together.
With urllib3 in place of http.client, a third of the remaining time would be overhead as well.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import deque
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from urllib3.util import wait_for_read

from octospoon.adapters.s3.content import identified

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client

    from octospoon.domain.pool.images import ImageBytes

_PLACEHOLDER = "octospoon-any-key"
_TIMEOUT = 20


class SignedGets:
    """Reads objects and returns None on any failure; the caller then uses `get_object` to learn the cause.

    It keeps as many connections as there were concurrent calls.

    Args:
        client: of S3; its endpoint, addressing style and region are used.
        credentials: to sign with; they may refresh themselves.
        bucket: to read from.
    """

    def __init__(self, client: S3Client, credentials: Credentials, bucket: str) -> None:
        self._bucket = bucket
        self._base, self._region = _address(client, bucket)
        self._credentials = credentials
        address = urlsplit(self._base)
        self._host = address.netloc
        self._origin = f"{address.scheme}://{address.netloc}"
        secure = address.scheme == "https"
        self._tls = ssl.create_default_context(cafile=get_cert_path(True)) if secure else None
        self._idle: deque[HTTPConnection] = deque()

    def __call__(self, key: str, max_bytes: int) -> ImageBytes | None:
        """Return an object's bytes and identity, or None if the read failed or it exceeds `max_bytes`."""
        url = self.url(key)
        request = AWSRequest("GET", url)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        connection = self._connection()
        try:
            connection.request("GET", url.removeprefix(self._origin), headers=dict(request.headers.items()))
            image = _whole(connection.getresponse(), max_bytes, self._bucket)
        except (HTTPException, OSError, ValueError):  # do not log: http.client's ValueError quotes the header
            image = None
        if image:
            self._idle.append(connection)
        else:
            connection.close()  # it may still hold the rest of an answer
        return image

    def _connection(self) -> HTTPConnection:
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                connection = self._idle.pop()
                # an idle connection becomes readable when the server closes it
                if connection.sock and not wait_for_read(connection.sock, timeout=0):
                    return connection
                connection.close()
        if self._tls:
            return HTTPSConnection(self._host, timeout=_TIMEOUT, context=self._tls)
        return HTTPConnection(self._host, timeout=_TIMEOUT)

    def close(self) -> None:
        """Close every connection; the next call opens one."""
        while self._idle:
            self._idle.pop().close()

    def url(self, key: str) -> str:
        """Return the address of an object."""
        return self._base + quote(key, safe="/~")


class _Noted(Exception):
    """Ends a call before it is signed."""


def _address(client: S3Client, bucket: str) -> tuple[str, str]:
    """Return the URL before a key and the signing region, as the client uses them; send nothing."""
    addresses: list[tuple[str, str]] = []

    def note(request: AWSRequest, region_name: str, **_: object) -> None:
        addresses.append((str(request.url).partition(_PLACEHOLDER)[0], region_name))
        raise _Noted

    client.meta.events.register("before-sign.s3.GetObject", note)
    with contextlib.suppress(_Noted):
        client.get_object(Bucket=bucket, Key=_PLACEHOLDER)
    client.meta.events.unregister("before-sign.s3.GetObject", note)
    return addresses[0]


def _whole(answer: HTTPResponse, max_bytes: int, bucket: str) -> ImageBytes | None:
    etag = answer.headers["ETag"]  # LocalStack takes a key such as / for the bucket and lists it
    if answer.status != 200 or answer.length is None or answer.length > max_bytes or etag is None:
        return None
    return identified(answer.read(), answer.headers, bucket)
