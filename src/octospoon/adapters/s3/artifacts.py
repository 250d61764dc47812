"""The artifacts bucket, with the champion pointer and the model files."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.domain.errors import BadModel, VersionTaken
from octospoon.domain.model_spec import (
    CHAMPION_KEY,
    VERSIONS,
    ChampionPointer,
    claim_key,
    head_key,
    model_key,
    owner_key,
    version_key,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = {"NoSuchKey", "404"}
_EMPTY = {"416", "InvalidRange"}
_UNCHANGED = {"304", "NotModified"}
_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412"}


class S3Artifacts:
    """The artifacts bucket: small objects, written once or replaced by compare-and-swap."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    def read(self, key: str, unless_etag: str = "") -> tuple[bytes, str] | None:
        """Return bytes and ETag, or None if the object is missing or its ETag is `unless_etag`."""
        condition = {"IfNoneMatch": unless_etag} if unless_etag else {}
        with translated(f"reading {key}"):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key, **condition)  # type: ignore[arg-type]
            except ClientError as error:
                if code(error) in _MISSING | _UNCHANGED:
                    return None
                raise
            return answer["Body"].read(), answer["ETag"]

    def part(self, key: str, start: int, length: int) -> tuple[bytes, int] | None:
        """Return up to `length` bytes from a position on, and the size of the object in bytes.

        None if the object is missing or empty.
        """
        with translated(f"reading {key}"):
            try:
                wanted = f"bytes={start}-{start + length - 1}"
                answer = self.client.get_object(Bucket=self.bucket, Key=key, Range=wanted)
            except ClientError as error:
                if code(error) in _MISSING | _EMPTY:
                    return None
                raise
            return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all objects with this prefix."""
        with translated(f"listing {prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def write_new(self, key: str, body: bytes) -> bool:
        """Write a new object; return False if it exists already."""
        return self._write_if(key, body, {"IfNoneMatch": "*"})

    def swap(self, key: str, body: bytes, etag: str) -> bool:
        """Replace an object if its ETag is still `etag`; return False if it is not."""
        return self._write_if(key, body, {"IfMatch": etag})

    def _write_if(self, key: str, body: bytes, condition: dict[str, str]) -> bool:
        with translated(f"writing {key}"):
            try:
                self.client.put_object(Bucket=self.bucket, Key=key, Body=body, **condition)  # type: ignore[arg-type]
            except ClientError as error:
                if code(error) in _EXISTS | _MISSING:
                    return False
                raise
        return True


class S3Champions:
    """Implements `octospoon.ports.models.Champions`."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def pointer(self) -> tuple[ChampionPointer, str] | None:
        """Return the current pointer and its ETag, or None before the first."""
        return self.changed("")

    def changed(self, etag: str) -> tuple[ChampionPointer, str] | None:
        """Return the pointer if its ETag differs from `etag`, else None.

        Raises:
            BadModel: the object is not a champion pointer.
        """
        stored = self._artifacts.read(CHAMPION_KEY, etag)
        if stored is None:
            return None
        return _pointer(CHAMPION_KEY, stored[0]), stored[1]

    def fetch(self, pointer: ChampionPointer, folder: Path) -> Path:
        """Download the pointer's model file and verify its sha256; raises BadModel."""
        return self._download(pointer.key, pointer.sha256, folder)

    def fetch_head(self, pointer: ChampionPointer, folder: Path) -> Path:
        """Download the pointer's head file and verify its sha256; raises BadModel."""
        return self._download(pointer.head_key, pointer.head_sha256, folder)

    def put_model(self, model: bytes, head: bytes | None) -> tuple[str, str]:
        """Store the immutable files by their sha256; return both hashes, empty for no head."""
        sha = hashlib.sha256(model).hexdigest()
        self._artifacts.write_new(model_key(sha), model)
        if head is None:
            return sha, ""
        head_sha = hashlib.sha256(head).hexdigest()
        self._artifacts.write_new(head_key(head_sha), head)
        return sha, head_sha

    def keep(self, pointer: ChampionPointer) -> None:
        """Store the pointer of a version. This is idempotent: a restarted job may call it again.

        Only version 0, the cold-start model, may be replaced.

        Raises:
            VersionTaken: the version number belongs to another model.
        """
        key, body = version_key(pointer.version), msgspec.json.encode(pointer)
        if self._artifacts.write_new(key, body):
            return
        stored = self._artifacts.read(key)
        if stored is None or stored[0] == body:
            return
        if pointer.version > 0:
            raise VersionTaken(
                f"version {pointer.version} is another model already, which is kept: this one is not stored; "
                "the next training job takes a new number by itself, an import is begun again"
            )
        self._artifacts.swap(key, body, stored[1])

    def newest(self) -> int:
        """Return the highest version number ever claimed, stored or served; -1 before the first."""
        names = (key.removeprefix(VERSIONS).partition(".")[0] for key in self._artifacts.keys(VERSIONS))
        stored = max((int(name) for name in names if name.isdecimal()), default=-1)
        try:
            current = self.pointer()
        except BadModel:  # a roll-back will write it again, for a stored version
            return stored
        return max(stored, current[0].version) if current else stored

    def claim(self, owner: str, least: int) -> int:
        """Reserve a new version number; the same owner gets the same number again."""
        claimed = self._artifacts.read(owner_key(owner))
        if claimed is not None:
            return int(claimed[0])
        number = max(least, self.newest() + 1)
        while not self._artifacts.write_new(claim_key(number), owner.encode()):
            number += 1
        if self._artifacts.write_new(owner_key(owner), str(number).encode()):
            return number
        return self.claim(owner, least)  # the same job also runs elsewhere and was first

    def version(self, version: int) -> ChampionPointer | None:
        """Return the pointer of a version, or None if there is no such model."""
        stored = self._artifacts.read(version_key(version))
        return None if stored is None else _pointer(version_key(version), stored[0])

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        """Replace the pointer by compare-and-swap; return False if its ETag is no longer `expected_etag`."""
        body = msgspec.json.encode(pointer)
        if expected_etag is None:
            return self._artifacts.write_new(CHAMPION_KEY, body)
        return self._artifacts.swap(CHAMPION_KEY, body, expected_etag)

    def mend(self, pointer: ChampionPointer) -> bool:
        """Replace an unreadable pointer; return False if the stored pointer is readable or missing.

        Its generation is unknown, so the new generation is the epoch seconds, which exceed any counted
        generation.
        """
        stored = self._artifacts.read(CHAMPION_KEY)
        if stored is None:
            return False
        try:
            _pointer(CHAMPION_KEY, stored[0])
        except BadModel:
            mended = replace(pointer, generation=int(time.time()))
            return self._artifacts.swap(CHAMPION_KEY, msgspec.json.encode(mended), stored[1])
        return False

    def _download(self, key: str, sha256: str, folder: Path) -> Path:
        path = folder / f"{sha256}.onnx"
        if path.exists():  # files appear here only by a rename, complete and verified
            return path
        stored = self._artifacts.read(key)
        if stored is None:
            raise BadModel(f"there is no object {key}")
        if (actual := hashlib.sha256(stored[0]).hexdigest()) != sha256:
            raise BadModel(f"{key} has sha256 {actual}, the pointer says {sha256}")
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(stored[0])
        Path(part.name).replace(path)
        return path


def _pointer(key: str, body: bytes) -> ChampionPointer:
    try:
        return msgspec.json.decode(body, type=ChampionPointer)
    except msgspec.MsgspecError as error:
        raise BadModel(
            f"{key} is not a champion pointer: {error}; `octospoon model rollback` writes it again"
        ) from error
