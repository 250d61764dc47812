"""Upload built functions as zip files. Their keys are hashes of the contents: nothing is uploaded twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code
from octospoon.adapters.files import draft_of
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

_EPOCH = (1980, 1, 1, 0, 0, 0)
_EXECUTABLE = 0o100755
_PLAIN = 0o100644


def digest(folder: Path) -> str:
    """Return a SHA-256 hash (hex) of the names, modes and contents of all files below a folder."""
    folder_hash = hashlib.sha256()
    for path in _files(folder):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        folder_hash.update(f"{path.relative_to(folder).as_posix()}\0{_mode(path):o}\0{content}\n".encode())
    return folder_hash.hexdigest()


def make_zip(folder: Path, target: Path, *, compress: bool) -> None:
    """Write a zip file that depends only on the folder's contents: sorted, without times and owners."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w") as archive:
        for path in _files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = _mode(path) << 16
            archive.writestr(entry, path.read_bytes(), compress_type=method)


def code_by_path(folder: Path) -> dict[str, str]:
    """Return where a LocalStack on this machine finds the code: in its "hot-reload" bucket, keys are paths.

    The path is a copy of the folder, made of hard links and named by a hash of the contents. So a new build
    does not change a running function, and the next deployment notices it.
    """
    deployed = folder.parent / ".deployed"
    deployed.mkdir(exist_ok=True)
    copy = deployed / f"{folder.name}-{_remembered(folder, deployed)[:16]}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=copy.parent)) / folder.name
        shutil.copytree(folder, draft, copy_function=os.link)
        with contextlib.suppress(OSError):  # another process made the same copy first
            draft.rename(copy)
        shutil.rmtree(draft.parent)
    return {"Bucket": "hot-reload", "Key": str(copy.absolute())}


def _remembered(folder: Path, notes: Path) -> str:
    """Return the digest of a folder. It is computed again only if a file has changed since the last time."""
    note, listing = notes / f"{folder.name}.json", _listing(folder)
    with contextlib.suppress(OSError, ValueError):
        known: list[str] = json.loads(note.read_text())
        if known[0] == listing:
            return known[1]
    computed = digest(folder)
    with draft_of(note) as draft:
        draft.write_text(json.dumps([listing, computed]))
    return computed


def _listing(folder: Path) -> str:
    """Return a hash of the names, modes, sizes and times of all files below a folder; it reads none."""
    lines = []
    for here, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(here, name)  # noqa: PTH118 - there are 20,000 files: it must be quick
            status = os.stat(path)  # noqa: PTH116
            facts = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino)
            lines.append(f"{path}\0{facts}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _mode(path: Path) -> int:
    return _EXECUTABLE if path.stat().st_mode & 0o100 else _PLAIN


class ArtefactBucket:
    """The bucket from which CloudFormation reads code and templates.

    Every request names the account that must own the bucket, so that another account's bucket is never used.
    """

    def __init__(self, client: S3Client, name: str, account: str) -> None:
        self._client = client
        self.name = name
        self._account = account

    def ensure(self) -> None:
        """Create the bucket unless it exists.

        Raises:
            NotConfigured: another account owns the name.
        """
        try:
            self._client.head_bucket(Bucket=self.name, ExpectedBucketOwner=self._account)
        except ClientError as error:
            if code(error) != "404":
                raise NotConfigured(
                    f"the bucket {self.name} cannot be used: another account may own it ({error})"
                ) from error
            self._create()

    def _create(self) -> None:
        region = self._client.meta.region_name
        if region == "us-east-1":  # S3 refuses the name of this region
            self._client.create_bucket(Bucket=self.name)
        else:
            self._client.create_bucket(
                Bucket=self.name,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )
        self._client.put_public_access_block(
            Bucket=self.name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )

    def put_artefact(
        self, folder: Path, *, compress: bool, progress: Callable[[str], None], prefix: str = ""
    ) -> str:
        """Upload a folder as a zip file unless the bucket has the same contents; return its s3:// address.

        Args:
            folder: a built function, or the sources of an image.
            compress: whether the zip file is compressed.
            progress: receives a line of text if something is uploaded.
            prefix: the beginning of the key, such as ``training/``.
        """
        key = f"{prefix}{digest(folder)}.zip"
        if not self._has(key):
            with tempfile.TemporaryDirectory() as scratch:
                archive = Path(scratch) / "archive.zip"
                make_zip(folder, archive, compress=compress)
                progress(f"uploading {folder.name} ({archive.stat().st_size / 1e6:.0f} MB)")
                self._client.upload_file(
                    str(archive), self.name, key, ExtraArgs={"ExpectedBucketOwner": self._account}
                )
        return f"s3://{self.name}/{key}"

    def put_template(self, template: dict[str, object]) -> str:
        """Upload a template; return its address for CloudFormation."""
        body = json.dumps(template, separators=(",", ":")).encode()
        key = f"{hashlib.sha256(body).hexdigest()}.template"
        self._client.put_object(Bucket=self.name, Key=key, Body=body, ExpectedBucketOwner=self._account)
        return f"{self._client.meta.endpoint_url}/{self.name}/{key}"

    def _has(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self.name, Key=key, ExpectedBucketOwner=self._account)
        except ClientError as error:
            if code(error) == "404":
                return False
            raise
        return True
