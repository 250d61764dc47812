"""Reads of many objects of one bucket, by botocore's signer and urllib3 alone.

`get_object` spends more processor time on its own generality than on signing, sending and receiving together.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import get_cert_path
from urllib3.connectionpool import HTTPConnectionPool, connection_from_url
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from mypy_boto3_s3 import S3Client
    from urllib3.response import BaseHTTPResponse

_PLACEHOLDER = "octospoon-any-key"
_TIMEOUT = 20


class SignedGets:
    """GETs that answer where all is well; whatever else happens is left to `get_object`, which knows why.

    Args:
        client: of S3: its endpoint, addressing style and region are taken over.
        credentials: to sign with; refreshed where they expire.
        bucket: whose objects are read.
        connections: kept open at the most.
    """

    def __init__(self, client: S3Client, credentials: Credentials, bucket: str, connections: int) -> None:
        self._base, self._region = _address(client, bucket)
        self._credentials = credentials
        self._path = urlsplit(self._base).path
        self._connections = connections
        self._http = self._pool()

    def _pool(self) -> HTTPConnectionPool:
        trust = {"ca_certs": get_cert_path(True)} if self._base.startswith("https") else {}
        return connection_from_url(
            self._base, maxsize=self._connections, timeout=_TIMEOUT, retries=False, block=False, **trust
        )

    def __call__(self, key: str, max_bytes: int) -> tuple[bytes, str] | None:
        """Return an object's bytes and its quoted ETag; None where it could not be had or has more bytes."""
        quoted = quote(key, safe="/~")
        request = AWSRequest("GET", self._base + quoted)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        headers = dict(request.headers.items())
        try:
            answer = self._http.urlopen(
                "GET",
                self._path + quoted,
                headers=headers,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            return _whole(answer, max_bytes)
        except (HTTPError, OSError):
            return None

    def close(self) -> None:
        """Close every connection; the next call opens one."""
        closing, self._http = self._http, self._pool()  # a closed pool opens nothing again
        closing.close()

    def url(self, key: str) -> str:
        """Return the address of an object."""
        return self._base + quote(key, safe="/~")


class _Noted(Exception):
    """Ends a call before it is signed."""


def _address(client: S3Client, bucket: str) -> tuple[str, str]:
    """Return the URL that the client puts before a key, and the region that it signs for; sends nothing."""
    found: list[tuple[str, str]] = []

    def note(request: AWSRequest, region_name: str, **_: object) -> None:
        found.append((str(request.url).partition(_PLACEHOLDER)[0], region_name))
        raise _Noted

    client.meta.events.register("before-sign.s3.GetObject", note)
    with contextlib.suppress(_Noted):
        client.get_object(Bucket=bucket, Key=_PLACEHOLDER)
    client.meta.events.unregister("before-sign.s3.GetObject", note)
    return found[0]


def _whole(answer: BaseHTTPResponse, max_bytes: int) -> tuple[bytes, str] | None:
    size = int(answer.headers.get("Content-Length", max_bytes + 1))
    if answer.status != 200 or size > max_bytes:
        answer.close()
        return None
    data = answer.read()
    return (data, answer.headers["ETag"]) if len(data) == size else None
