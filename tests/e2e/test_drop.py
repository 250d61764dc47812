"""`octospoon drop` on the real stack: it replaces nothing without request."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from octospoon.cli.deployment import Deployment
from octospoon.cli.operations import upload as drops
from octospoon.cli.operations.upload import OTHER, SAME, drop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack
PREFIX = "dropped/"


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Two folders whose images have the same names."""
    generator = np.random.default_rng(0)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b ü.png"):
            noise = generator.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / folder / name)
    return tmp_path


@pytest.fixture
def deployment(stack: LocalStack) -> Iterator[Deployment]:
    """The shared deployment with a separate images bucket, whose images no function scores."""
    bucket, s3 = "octospoon-tests-drop", stack.deployment.client("s3")
    s3.create_bucket(Bucket=bucket)
    outputs = {**stack.deployment.outputs, "ImagesBucket": bucket}
    yield Deployment(outputs, stack.deployment.endpoint_url)
    for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    s3.delete_bucket(Bucket=bucket)


def test_nothing_is_replaced_without_being_asked(deployment: Deployment, image_folder: Path) -> None:
    bucket, s3 = deployment.outputs["ImagesBucket"], deployment.client("s3")

    def bytes_of(key: str) -> bytes:
        return bytes(s3.get_object(Bucket=bucket, Key=PREFIX + key)["Body"].read())

    both = [image_folder / "one", image_folder / "two"]
    assert drop(deployment, both, PREFIX).uploaded == 4
    again = drop(deployment, both, PREFIX)
    assert (again.uploaded, again.skipped.counts) == (0, {SAME: 4})

    assert drop(deployment, both[:1], PREFIX).uploaded == 2
    other = drop(deployment, both[1:], PREFIX)
    assert (other.uploaded, other.skipped.counts) == (0, {OTHER: 2})
    assert bytes_of("b ü.png") == (image_folder / "one/b ü.png").read_bytes()

    replaced = drop(deployment, both[1:], PREFIX, replace=True)
    assert (replaced.uploaded, replaced.replaced) == (0, 2)
    assert bytes_of("b ü.png") == (image_folder / "two/b ü.png").read_bytes()


def test_bytes_whose_etag_is_no_md5_are_compared(deployment: Deployment, image_folder: Path) -> None:
    s3, file = deployment.client("s3"), image_folder / "one/a.png"
    key = {"Bucket": deployment.outputs["ImagesBucket"], "Key": f"{PREFIX}a.png"}
    upload = s3.create_multipart_upload(**key)["UploadId"]
    part = s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=file.read_bytes())["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload=parts)
    assert "-" in s3.head_object(**key)["ETag"]
    assert drop(deployment, [file], PREFIX).skipped.counts == {SAME: 1}


def test_of_two_drops_at_once_one_keeps_its_bytes(
    deployment: Deployment, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, there = threading.Barrier(2), drops.Upload._there

    def both_see_nothing(self: drops.Upload, key: str) -> object:
        stored = there(self, key)
        if stored is None:
            looked.wait(30)
        return stored

    monkeypatch.setattr(drops.Upload, "_there", both_see_nothing)
    bucket = deployment.outputs["ImagesBucket"]
    upload = drops.Upload(deployment.client("s3"), bucket, replace=False)
    files = [(f"{PREFIX}a.png", image_folder / name / "a.png") for name in ("one", "two")]
    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(upload, files)) == sorted(["uploaded", OTHER])
