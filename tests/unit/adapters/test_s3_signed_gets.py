from __future__ import annotations

import hashlib
import socket
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from octospoon.adapters.s3.images import S3Images
from octospoon.adapters.s3.signed_gets import SignedGets
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.pool.images import ImageBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = boto3.Session("AKIAEXAMPLE", "a secret", "a session token", region_name="eu-central-1")
IMAGE = ImageBytes(b"picture", hashlib.md5(b"picture", usedforsecurity=False).hexdigest())
ETAG = f'"{IMAGE.etag}"'
QUIET = Config(response_checksum_validation="when_required", retries={"total_max_attempts": 1})


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[str, list[str]]]:
    """Answer one connection after another with the given bytes, and record the requests."""
    requests: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    requests.append(connection.recv(65536).decode())
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", requests
        thread.join(10)


def answer(status: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nETag: {ETAG}\r\n\r\n".encode() + body


def client(endpoint: str | None = None) -> Any:
    return SESSION.client("s3", endpoint_url=endpoint, config=QUIET)


def headers(request: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in request.splitlines()[1:] if line)


@pytest.mark.parametrize("key", ["plain.jpg", "a b/ä+%20~&=?#.png", "a/../b//c.jpg", "/leading"])
def test_the_signature_is_the_one_that_get_object_makes(key: str) -> None:
    for _ in range(3):  # both must fall into one second
        with server(*[answer("200 OK", b"picture")] * 2) as (endpoint, requests):
            s3 = client(endpoint)
            with closing(SignedGets(s3, SESSION.get_credentials(), "bucket")) as gets:
                assert gets(key, 100) == IMAGE
            s3.get_object(Bucket="bucket", Key=key)["Body"].read()
        ours, theirs = (headers(request) for request in requests)
        if ours["X-Amz-Date"] == theirs["X-Amz-Date"]:
            break
    assert requests[0].splitlines()[0] == requests[1].splitlines()[0]
    assert ours["Authorization"] == theirs["Authorization"]
    assert ours["X-Amz-Security-Token"] == "a session token"


@pytest.mark.parametrize(
    ("bucket", "address"),
    [
        ("some-bucket", "https://some-bucket.s3.eu-central-1.amazonaws.com/a%20b.jpg"),
        ("with.dots", "https://s3.eu-central-1.amazonaws.com/with.dots/a%20b.jpg"),
    ],
)
def test_the_bucket_is_addressed_as_get_object_does(bucket: str, address: str) -> None:
    assert SignedGets(client(), SESSION.get_credentials(), bucket).url("a b.jpg") == address


@pytest.mark.parametrize(
    "first",
    [
        answer("503 Slow Down", b""),
        answer("301 Moved", b""),
        answer("200 OK", b"cut", length=100),
        answer("200 OK", b"x" * 101),
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
    ids=["busy", "moved", "cut-off", "too-large", "garbage", "hang-up"],
)
def test_whatever_else_comes_is_left_to_get_object(first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(first, answer("200 OK", b"picture")) as (endpoint, requests):
        s3 = client(endpoint)
        gets = SignedGets(s3, SESSION.get_credentials(), "bucket")
        monkeypatch.setattr("octospoon.adapters.s3.images.MAX_BYTES", 100)
        assert S3Images(s3, "bucket", gets).read("k") == IMAGE
    assert len(requests) == 2


def test_a_dead_endpoint_is_a_reason_to_retry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
    s3 = client(endpoint)
    gets = SignedGets(s3, SESSION.get_credentials(), "bucket")
    assert gets("k", 100) is None
    with pytest.raises(ServiceUnavailable):
        S3Images(s3, "bucket", gets).read("k")


def test_after_the_connections_were_closed_the_next_call_opens_one() -> None:
    with (
        server(*[answer("200 OK", b"picture")] * 2) as (endpoint, requests),
        closing(SignedGets(client(endpoint), SESSION.get_credentials(), "bucket")) as gets,
    ):
        assert gets("k", 100) == IMAGE
        gets.close()
        assert gets("k", 100) == IMAGE
    assert len(requests) == 2


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    with (
        server(*[answer("200 OK", b"picture")] * 2) as (endpoint, requests),
        closing(SignedGets(client(endpoint), SESSION.get_credentials(), "bucket")) as gets,
    ):
        assert gets("k", 100) == IMAGE
        time.sleep(0.1)
        assert gets("k", 100) == IMAGE
    assert len(requests) == 2
