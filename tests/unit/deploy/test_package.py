"""Zip files that depend on contents alone, and an artefact bucket that uploads nothing twice."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from octospoon.cli.deploy import package
from octospoon.cli.deploy.package import ArtefactBucket, code_by_path, digest, make_zip
from octospoon.domain.errors import NotConfigured


def artefact(folder, *, order=1, time=0):
    files = [("app.py", b"x = 1\n"), ("package/data.bin", b"\0" * 1000)]
    for name, content in files[::order]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (time, time))
    return folder


@pytest.mark.parametrize("compress", [True, False])
def test_the_same_contents_make_the_same_zip(tmp_path, compress):
    first = artefact(tmp_path / "first")
    second = artefact(tmp_path / "elsewhere" / "second", order=-1, time=1_700_000_000)
    make_zip(first, tmp_path / "first.zip", compress=compress)
    make_zip(second, tmp_path / "second.zip", compress=compress)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    assert digest(first) == digest(second)
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert archive.namelist() == ["app.py", "package/data.bin"]
        assert archive.testzip() is None


@pytest.mark.parametrize("change", ["content", "name", "mode"])
def test_any_difference_changes_the_digest(tmp_path, change):
    folder = artefact(tmp_path / "folder")
    before = digest(folder)
    if change == "content":
        (folder / "app.py").write_bytes(b"x = 2\n")
    elif change == "name":
        (folder / "app.py").rename(folder / "other.py")
    else:
        (folder / "app.py").chmod(0o755)
    assert digest(folder) != before


def test_code_by_path_is_not_changed_by_the_next_build(tmp_path):
    folder = artefact(tmp_path / "Work")
    first = code_by_path(folder)
    assert first == code_by_path(folder)
    (folder / "app.py").unlink()  # as the build does
    (folder / "app.py").write_bytes(b"x = 2\n")
    second = code_by_path(folder)
    assert first["Bucket"] == second["Bucket"] == "hot-reload"
    assert (Path(first["Key"]) / "app.py").read_bytes() == b"x = 1\n"
    assert (Path(second["Key"]) / "app.py").read_bytes() == b"x = 2\n"
    assert len([path for path in (tmp_path / ".deployed").iterdir() if path.is_dir()]) == 2


def test_code_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    folder = artefact(tmp_path / "Work")
    read = []
    monkeypatch.setattr(package, "digest", lambda folder: read.append(folder) or digest(folder))
    first = code_by_path(folder)
    assert code_by_path(folder) == first
    assert len(read) == 1
    (folder / "app.py").write_bytes(b"x = 3\n")
    assert code_by_path(folder) != first
    assert len(read) == 2
    (tmp_path / ".deployed" / "Work.json").write_text("{")
    assert code_by_path(folder) != first
    assert len(read) == 3


class S3:
    """As much of S3 as the artefact bucket needs."""

    class meta:  # noqa: N801
        region_name = "eu-west-1"
        endpoint_url = "https://s3.eu-west-1.amazonaws.com"

    def __init__(self, bucket_status="404"):
        self.status = bucket_status
        self.calls = []
        self.keys = set()

    def head_bucket(self, **given):
        if self.status:
            raise ClientError({"Error": {"Code": self.status}}, "HeadBucket")

    def head_object(self, **given):
        if given["Key"] not in self.keys:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")

    def create_bucket(self, **given):
        self.calls.append(given)

    def put_public_access_block(self, **given):
        self.calls.append(given)

    def upload_file(self, path, bucket, key, ExtraArgs):  # noqa: N803
        assert ExtraArgs == {"ExpectedBucketOwner": "123"}
        self.keys.add(key)
        self.calls.append(key)


def test_an_artefact_is_uploaded_once(tmp_path):
    s3, told = S3(), []
    bucket = ArtefactBucket(s3, "code", "123")
    first = bucket.put_artefact(artefact(tmp_path / "a"), compress=False, progress=told.append)
    again = bucket.put_artefact(artefact(tmp_path / "a"), compress=False, progress=told.append)
    assert first == again == f"s3://code/{s3.calls[0]}"
    assert len(s3.calls) == len(told) == 1


def test_a_missing_bucket_is_made_private_in_its_region():
    s3 = S3()
    ArtefactBucket(s3, "code", "123").ensure()
    assert s3.calls[0]["CreateBucketConfiguration"] == {"LocationConstraint": "eu-west-1"}
    assert set(s3.calls[1]["PublicAccessBlockConfiguration"].values()) == {True}


def test_a_bucket_of_somebody_else_is_not_used():
    with pytest.raises(NotConfigured, match="another account"):
        ArtefactBucket(S3("403"), "code", "123").ensure()
