"""Signed GETs and get_object read the same bytes from the S3 of LocalStack."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING

import pytest

from octospoon.adapters.s3.images import S3Images
from octospoon.adapters.s3.signed_gets import SignedGets
from octospoon.cli.deployment.session import session
from octospoon.domain.errors import BadImage
from octospoon.domain.pool.source import ImagesSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack

KEYS = [
    "plain.jpg",
    "with space/ä+b%20c~&=?#.png",
    "日本/🙂.webp",
    "a/./b/../c.jpg",
    "//leading//and//double.jpg",
    "quote'\"<>;,@$!*().jpg",
    "long/" + "é" * 509,
]


@pytest.fixture(scope="module")
def s3(stack: LocalStack) -> S3Client:
    client: S3Client = stack.deployment.client("s3")
    return client


@pytest.fixture(scope="module")
def bucket(s3: S3Client) -> str:
    name = f"images-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name)
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket=name, Key=key, Body=bytes([number]) * 100_000)
    s3.put_object(Bucket=name, Key="empty", Body=b"")
    return name


@pytest.fixture
def gets(s3: S3Client, bucket: str, stack: LocalStack) -> Iterator[SignedGets]:
    made = SignedGets(s3, session(stack.deployment.endpoint_url).get_credentials(), bucket)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.fixture(params=["signed", "get_object"])
def images(request: pytest.FixtureRequest, s3: S3Client, bucket: str, gets: SignedGets) -> S3Images:
    return S3Images(s3, bucket, gets if request.param == "signed" else None)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_an_object_is_read_whole_whatever_its_key(
    images: S3Images, s3: S3Client, bucket: str, key: str
) -> None:
    image = images.read(key)

    assert image.data == bytes([KEYS.index(key)]) * 100_000
    assert f'"{image.etag}"' == s3.head_object(Bucket=bucket, Key=key)["ETag"]
    assert image.object_etag == ""


def send_whole(s3: S3Client, bucket: str, key: str, data: bytes) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=data)


def send_in_parts(s3: S3Client, bucket: str, key: str, data: bytes) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=data)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)  # type: ignore[arg-type]


def copy_encrypted(s3: S3Client, bucket: str, key: str, data: bytes) -> None:
    send_in_parts(s3, bucket, key, data)
    s3.copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": bucket, "Key": key},
        ServerSideEncryption="aws:kms",
        MetadataDirective="COPY",
    )


@pytest.mark.parametrize("send", [send_whole, send_in_parts, copy_encrypted])
def test_the_same_bytes_have_one_identity_however_they_were_sent(
    images: S3Images, s3: S3Client, bucket: str, send: Callable[[S3Client, str, str, bytes], None]
) -> None:
    data = b"the same bytes" * 1000
    send(s3, bucket, send.__name__, data)

    image = images.read(send.__name__)

    (listed,) = [entry for entry in images.listing("", 100) if entry.key == send.__name__]
    assert image.data == data
    assert image.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert listed.etag in (image.etag, image.object_etag)
    s3.delete_object(Bucket=bucket, Key=send.__name__)


def test_signed_gets_answer_themselves(gets: SignedGets) -> None:
    for number, key in enumerate(KEYS):
        image = gets(key, 100_000)
        assert image is not None
        assert image.data == bytes([number]) * 100_000
        assert gets(key, 99_999) is None
    assert gets("missing", 100_000) is None
    assert gets("empty", 100_000) == (b"", "d41d8cd98f00b204e9800998ecf8427e", "")


@pytest.mark.parametrize("page", [1, 3, 100])
def test_a_listing_ends_and_passes_no_key_over(s3: S3Client, bucket: str, page: int) -> None:
    images, keys, after = S3Images(s3, bucket), [], ""

    while listed := images.listing(after, page):
        keys += [entry.key for entry in listed]
        after = keys[-1]
        assert len(keys) <= len(KEYS) + 1

    assert keys == sorted([*KEYS, "empty"], key=str.encode)


def test_a_listing_of_a_prefix_holds_its_keys_alone(s3: S3Client, bucket: str) -> None:
    images = S3Images(s3, bucket)

    assert [entry.key for entry in images.listing("", 100, "long")] == ["long/" + "é" * 509]
    assert images.listing("long/" + "é" * 509, 100, "long") == []
    assert [entry.key for entry in images.listing("", 100, "no such")] == []


@pytest.mark.parametrize("page", [1, 100])
def test_a_listing_of_an_existing_bucket_holds_its_prefixes(s3: S3Client, bucket: str, page: int) -> None:
    source = ImagesSource(True, ("quote'", "a/", "long/", "//leading//", "a/./"))
    images, keys, after = S3Images(s3, bucket, source=source), [], ""

    while listed := images.listing(after, page):
        keys += [entry.key for entry in listed]
        after = keys[-1]
        assert len(keys) <= len(KEYS)

    expected = [key for key in KEYS if key.startswith(source.prefixes)]
    assert keys == sorted(expected, key=str.encode)
    assert len(expected) == 4
    assert not any(entry.other_file for entry in images.listing("", 100))


def test_other_files_of_an_existing_bucket_are_marked(s3: S3Client, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="plain.json", Body=b"{}")
    marked = {
        source.existing: {
            entry.key
            for entry in S3Images(s3, bucket, source=source).listing("", 100, "plain")
            if entry.other_file
        }
        for source in (ImagesSource(), ImagesSource(True))
    }
    s3.delete_object(Bucket=bucket, Key="plain.json")

    assert marked == {False: set(), True: {"plain.json"}}


def test_an_empty_object_and_a_missing_one_are_told_apart(images: S3Images) -> None:
    assert images.read("empty").data == b""
    with pytest.raises(BadImage, match="deleted"):
        images.read("missing")
