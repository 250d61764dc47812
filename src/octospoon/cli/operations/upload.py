"""Uploads images into the images bucket; replaces an image only if asked to."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError
from rich.console import Console
from rich.progress import track

from octospoon.adapters.aws.errors import code, translated
from octospoon.cli.datasets.uploads import UNREADABLE, Skipped, find
from octospoon.cli.deploy.images_source import images_source
from octospoon.domain.errors import BadRequest, Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.pool.source import ImagesSource

__all__ = [
    "UPLOADED",
    "Dropped",
    "Upload",
    "drop",
    "find",
    "in_parallel",
    "run_all",
    "run_each",
    "with_progress",
]

SAME = "there already, with the same bytes"
OTHER = "there already, with other bytes: --replace replaces them, --prefix NAME/ keeps both"
MEANWHILE = "changed by another upload meanwhile: run the command again"
_PLAIN_ETAG = re.compile(r'"?([0-9a-f]{32})"?')
_THREADS = 8
_AT_ONCE = 256
_CHUNK = 1 << 20
T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Dropped:
    """The outcome of an upload.

    Attributes:
        uploaded: how many are new in the bucket.
        replaced: how many took the place of other bytes.
        skipped: the others, by reason.
    """

    uploaded: int = 0
    replaced: int = 0
    skipped: Skipped = field(default_factory=Skipped)


def drop(
    deployment: Deployment,
    paths: Sequence[Path],
    prefix: str = "",
    *,
    replace: bool = False,
    into_existing: bool = False,
) -> Dropped:
    """Upload everything that `find` finds, with a progress bar.

    Args:
        deployment: the deployment.
        paths: of folders and files.
        prefix: put before every object key.
        replace: whether other bytes under a key are replaced, which resets their labels.
        into_existing: whether a bucket that the stack only reads is written to.

    Raises:
        BadRequest: a path does not exist; or the stack only reads its bucket, or not these keys.
    """
    check_bucket(images_source(deployment.outputs), prefix, into_existing=into_existing)
    done = Dropped()
    images = find(paths, prefix, done.skipped)
    upload = Upload(deployment.client("s3"), deployment.outputs["ImagesBucket"], replace=replace)
    for (_, file), outcome in run_each(upload, images.items(), "Uploading", len(images)):
        if outcome == UPLOADED:
            done.uploaded += 1
        elif outcome == _REPLACED:
            done.replaced += 1
        else:
            done.skipped.add(outcome, str(file))
    return done


UPLOADED, _REPLACED = "uploaded", "replaced"


def check_bucket(source: ImagesSource, prefix: str, *, into_existing: bool) -> None:
    """Make sure that the bucket may be written to, and that the images will be scored.

    Args:
        source: the part of the bucket that the stack reads.
        prefix: put before every object key.
        into_existing: whether a person allows writing to a bucket that the stack only reads.

    Raises:
        BadRequest: it must not, or they will not.
    """
    if source.existing and not into_existing:
        raise BadRequest(
            "the stack only reads its images bucket, which is yours: upload with your own tools, or allow "
            "it with --into-existing-bucket"
        )
    if not source.reads(prefix):
        raise BadRequest(
            f"the stack reads only keys that begin with {' or '.join(source.prefixes)}: give one of them "
            "with --prefix"
        )


class Upload:
    """Uploads one file on a condition, so that two uploads at once do not replace each other."""

    def __init__(self, client: Any, bucket: str, *, replace: bool) -> None:  # noqa: ANN401 - boto3
        self._client = client
        self._bucket = bucket
        self._replace = replace

    def __call__(self, item: tuple[str, Path]) -> str:
        """Upload a file; return `UPLOADED`, `SAME`, or another outcome."""
        key, file = item
        try:
            with translated(f"uploading {file}"):
                return self._outcome(key, file)
        except Conflict:
            return MEANWHILE
        except OSError as error:
            if isinstance(error, PermissionError | FileNotFoundError):
                return UNREADABLE
            raise

    def _outcome(self, key: str, file: Path) -> str:
        there = self._there(key)
        if there is None:
            try:
                self._put(key, file, IfNoneMatch="*")
            except ClientError as error:
                if code(error) not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise
                there = self._there(key)
            else:
                return UPLOADED
        if there is None:
            return MEANWHILE
        if self._is_same(key, file, there):
            return SAME
        if not self._replace:
            return OTHER
        self._put(key, file, IfMatch=there["ETag"])
        return _REPLACED

    def _there(self, key: str) -> Any | None:  # noqa: ANN401 - as boto3 has it
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise

    def _put(self, key: str, file: Path, **condition: str) -> None:
        """Upload in one request: then the ETag is usually the MD5 of the bytes."""
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        with file.open("rb") as body:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=kind, **condition)

    def _is_same(self, key: str, file: Path, there: Any) -> bool:  # noqa: ANN401 - as boto3 has it
        if there["ContentLength"] != file.stat().st_size:
            return False
        plain = _PLAIN_ETAG.fullmatch(there["ETag"])
        with file.open("rb") as ours:
            ours_md5 = md5(iter(lambda: ours.read(_CHUNK), b""))
        if plain and there.get("ServerSideEncryption", "AES256") == "AES256":
            return plain[1] == ours_md5
        body = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=there["ETag"])["Body"]
        return md5(body.iter_chunks(_CHUNK)) == ours_md5


def md5(chunks: Iterator[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Call `work` with each item on a few threads; yield the results in order."""
    rest = iter(items)
    with ThreadPoolExecutor(_THREADS) as threads:
        while some := list(islice(rest, _AT_ONCE)):
            yield from zip(some, threads.map(work, some), strict=True)


def run_each(work: Callable[[T], R], items: Iterable[T], title: str, total: int) -> Iterator[tuple[T, R]]:
    """Call `work` with each item on a few threads, with a progress bar; yield the results in order."""
    return with_progress(in_parallel(work, items), title, total)


def with_progress(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """Yield the items, with a progress bar on standard error."""
    return iter(track(items, description=title, total=total, console=Console(stderr=True)))


def run_all(work: Callable[[T], object], items: Sequence[T], title: str) -> int:
    """Call `work` with each item on a few threads, with a progress bar; return the number of items."""
    return sum(1 for _ in run_each(work, items, title, len(items)))
