"""One file with everything that the detached stack holds: written while it runs, read into an empty checkout.

The file is a tar archive. Its first member describes it; the others are the folders of `Layout`, with the
data, the settings and the credentials.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.files import PRIVATE, new_file
from octospoon.cli.stack import resumable
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import DATABASES
from octospoon.cli.stack.snapshot import snapshot
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[str], None]

FORMAT = 1
"""The format of the file. A release that changes it must still read the older ones."""
MANIFEST = "backup.json"
LOCAL = "local stack"
AWS = "stack on AWS"
_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup contains.

    Attributes:
        content: `LOCAL` or `AWS`.
        created: UTC, in ISO 8601.
        octospoon: version that wrote the file.
        format: of the file.
        details: figures for people, by name.
    """

    content: str
    created: str
    octospoon: str
    format: int
    details: dict[str, int]


def manifest_now(content: str, details: dict[str, int]) -> Manifest:
    """Describe a backup that is written now."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Manifest(content, created, version("octospoon"), FORMAT, details)


def back_up(layout: Layout, target: Path, progress: Progress) -> Manifest:
    """Write the data, the settings and the credentials of the detached stack into a new file.

    The stack may run. Each database is copied as of one moment, and `octospoon reconcile` aligns them after
    the file was restored.

    Raises:
        BadRequest: the file exists already, or there are no data.
    """
    if not resumable.holds_files(layout.data):
        raise BadRequest("the local stack has no data: start it with `octospoon up`")
    with new_file(target, PRIVATE) as draft, _staging(layout) as staging:
        progress("copying the databases and listing the files")
        snapshot(layout.data, staging.data)
        for source, copy in ((layout.settings, staging.settings), (layout.credentials, staging.credentials)):
            if source.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        manifest = manifest_now(LOCAL, resumable.figures(staging))
        with tarfile.open(draft, "w") as archive:
            add_manifest(archive, manifest)
            _add_all(archive, staging, progress)
    return manifest


def restore(layout: Layout, source: Path, progress: Progress) -> Manifest:
    """Read a backup into a checkout without data.

    After an interruption, call it again: the data appear at the end, by a single rename.

    Raises:
        BadRequest: the file is not a backup of a local stack, or is incomplete.
        NotConfigured: a newer version of octospoon wrote it.
    """
    with _staging(layout) as staging:
        try:
            with tarfile.open(source, "r:*") as archive:
                manifest = read_manifest(archive, source)
                progress(
                    f"reading the backup of {manifest.created}, written by octospoon {manifest.octospoon}"
                )
                archive.extractall(staging.root, filter="data")
        except FileNotFoundError as error:
            raise BadRequest(f"{source} does not exist") from error
        except (tarfile.TarError, EOFError) as error:
            raise BadRequest(f"{source} is not a complete backup: {error}") from error
        problem = resumable.problem(staging, set(DATABASES))
        if problem or not staging.credentials.exists():
            raise BadRequest(f"{source} cannot be restored: {problem or 'it has no credentials'}")
        layout.state.mkdir(parents=True, exist_ok=True)
        staging.credentials.replace(layout.credentials)
        if staging.settings.exists():
            staging.settings.replace(layout.settings)
        if layout.data.exists():  # empty folders
            shutil.rmtree(layout.data)
        staging.data.rename(layout.data)
    return manifest


def add_manifest(archive: tarfile.TarFile, manifest: Manifest) -> None:
    """Make the description the first member of an archive."""
    content = json.dumps(asdict(manifest), indent=2).encode()
    member = tarfile.TarInfo(MANIFEST)
    member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
    archive.addfile(member, BytesIO(content))


def read_manifest(archive: tarfile.TarFile, source: Path) -> Manifest:
    """Return the description of a backup of a local stack.

    Raises:
        BadRequest: the file is no backup, or one of a stack on AWS.
        NotConfigured: a newer version of octospoon wrote it.
    """
    try:
        first = archive.next()
        member = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
        if member is None:
            raise BadRequest(f"{source} is not a backup: write one with `octospoon backup FILE`")
        manifest = Manifest(**json.load(member))
    except (ValueError, TypeError) as error:
        raise BadRequest(f"{source} is not a backup that octospoon can read: {error}") from error
    if manifest.format > FORMAT:
        raise NotConfigured(
            f"octospoon {manifest.octospoon}, a newer version, wrote {source}: install that version to "
            "restore it"
        )
    if manifest.content != LOCAL:
        raise BadRequest(
            f"{source} contains the tables of a {manifest.content}. It is for analysis and cannot be "
            "restored; DynamoDB's point-in-time recovery restores tables on AWS"
        )
    return manifest


@contextmanager
def _staging(layout: Layout) -> Iterator[Layout]:
    """Return the layout of a temporary folder in the same file system, so that files can be linked."""
    layout.home.mkdir(parents=True, exist_ok=True)
    for abandoned in layout.home.glob("backup-*"):
        if not Path(f"/proc/{abandoned.name.rpartition('-')[2]}").exists():
            shutil.rmtree(abandoned, ignore_errors=True)
    root = layout.home / f"backup-{os.getpid()}"
    root.mkdir(mode=0o700)
    try:
        yield Layout(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _add_all(archive: tarfile.TarFile, staging: Layout, progress: Progress) -> None:
    paths = sorted(path for path in staging.home.rglob("*") if path.is_file() and not path.is_symlink())
    for number, path in enumerate(paths, 1):
        archive.add(path, path.relative_to(staging.root), recursive=False)
        if number % _EVERY == 0:
            progress(f"{number:,} of {len(paths):,} files")
