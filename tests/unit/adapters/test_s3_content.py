from __future__ import annotations

import hashlib
from email.message import Message

import pytest

from octospoon.adapters.s3.content import identified

DATA = b"the bytes of a picture"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
OTHER = "0123456789abcdef" * 2
PLAIN = {"etag": f'"{OTHER}"'}


@pytest.mark.parametrize(
    "headers",
    [
        PLAIN | {"x-amz-server-side-encryption": "aws:kms"},
        PLAIN | {"x-amz-server-side-encryption": "aws:kms:dsse"},
        PLAIN | {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
        {"etag": f'"{MD5}-1"'},
        {"etag": f'"{OTHER}-17"'},
        {"etag": '"e"'},
        {"etag": f'"{OTHER.upper()}"'},
        {},
    ],
)
def test_bytes_are_hashed_when_the_etag_may_differ(headers: dict[str, str]) -> None:
    image = identified(DATA, headers, "bucket")

    assert (image.data, image.etag) == (DATA, MD5)
    assert image.object_etag == headers.get("etag", "").strip('"')


@pytest.mark.parametrize("encryption", [{}, {"x-amz-server-side-encryption": "AES256"}])
def test_plain_upload_uses_its_etag_without_hashing(encryption: dict[str, str]) -> None:
    assert identified(b"", PLAIN | encryption, "bucket") == (b"", OTHER, "")


def test_in_a_directory_bucket_no_etag_is_taken() -> None:
    assert identified(DATA, PLAIN, "images--euc1-az1--x-s3") == (DATA, MD5, OTHER)


def test_the_names_of_http_clients_headers_have_any_case() -> None:
    headers = Message()
    headers["ETag"] = f'"{OTHER}"'
    headers["X-Amz-Server-Side-Encryption"] = "aws:kms"

    assert identified(DATA, headers, "bucket") == (DATA, MD5, OTHER)


def test_encrypted_object_whose_etag_is_md5_has_no_other_etag() -> None:
    headers = {"etag": f'"{MD5}"', "x-amz-server-side-encryption": "aws:kms"}

    assert identified(DATA, headers, "bucket") == (DATA, MD5, "")
