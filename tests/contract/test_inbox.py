"""The inbox for new images: the fake and the real bucket store the same bytes once."""

from __future__ import annotations

import hashlib
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from fakes.images import FakeInbox

from octospoon.adapters.s3.images import S3Images
from octospoon.adapters.s3.inbox import S3Inbox
from octospoon.adapters.s3.signed_gets import SignedGets
from octospoon.cli.datasets import digits
from octospoon.cli.deployment.session import session
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.ports.images import Inbox

JPEG = b"\xff\xd8\xff rest"
ODD = [
    "\0",
    "\x7f",
    "a\nb",
    ".",
    "..",
    "/",
    "./",
    "a/../..",
    "\\",
    "?",
    "#",
    "%",
    "%zz",
    "é" * 512,
    "\U000e0001",
]


@pytest.fixture
def bucket(stack: LocalStack) -> str:
    name = f"inbox-{uuid.uuid4().hex}"
    stack.deployment.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stack)])
def inbox(request: pytest.FixtureRequest) -> Inbox:
    if request.param == "fake":
        return FakeInbox()
    stack: LocalStack = request.getfixturevalue("stack")
    return S3Inbox(stack.deployment.client("s3"), request.getfixturevalue("bucket"))


@pytest.mark.parametrize(("data", "extension"), [(digits.png_bytes(0), "png"), (JPEG, "jpg")])
def test_a_key_is_made_of_the_bytes(inbox: Inbox, data: bytes, extension: str) -> None:
    for _ in range(2):
        assert inbox.add(data) == f"predict/{hashlib.sha256(data).hexdigest()}.{extension}"


def test_what_is_no_image_is_not_taken(inbox: Inbox) -> None:
    with pytest.raises(BadImage, match="not-an-image"):
        inbox.add(b"milk, eggs")


@pytest.mark.stack
def test_same_bytes_are_written_once_and_read_unchanged(stack: LocalStack, bucket: str) -> None:
    s3: Any = stack.deployment.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    inbox, data = S3Inbox(s3, bucket), digits.png_bytes(1)

    (key,) = {inbox.add(data) for _ in range(3)}

    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1
    assert s3.head_object(Bucket=bucket, Key=key)["ContentType"] == "image/png"
    assert S3Images(s3, bucket).read(key).data == data
    s3.delete_object(Bucket=bucket, Key=key)
    assert inbox.add(data) == key
    assert S3Images(s3, bucket).read(key).data == data


@pytest.mark.stack
@pytest.mark.parametrize("key", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("signed", [True, False])
def test_missing_key_of_any_kind_counts_as_gone(
    stack: LocalStack, bucket: str, key: str, signed: bool
) -> None:
    s3: Any = stack.deployment.client("s3")
    gets = SignedGets(s3, session(stack.deployment.endpoint_url).get_credentials(), bucket)  # type: ignore[arg-type]

    with closing(gets), pytest.raises(BadImage, match="gone"):
        S3Images(s3, bucket, gets if signed else None).read(key)
