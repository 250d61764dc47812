"""octospoon drop: upload pictures into the images bucket."""

from __future__ import annotations

import mimetypes
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from rich.progress import track

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from octospoon.cli.context import Deployment

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_THREADS = 8
T = TypeVar("T")


def find(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the pictures under these folders and files, by object key: the path below what was named.

    Raises:
        BadRequest: a path does not exist, or two files would get one key.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise BadRequest(f"{path} does not exist")
        base = path if path.is_dir() else path.parent
        for file in _pictures(path):
            key = file.relative_to(base).as_posix()
            if found.setdefault(key, file) != file:
                raise BadRequest(f"{found[key]} and {file} would both become {key}: drop them one by one")
    return found


def _pictures(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() in EXTENSIONS)


def drop(deployment: Deployment, paths: Sequence[Path], prefix: str = "") -> int:
    """Upload everything that `find` finds, with a progress bar; return how many."""
    found = find(paths)
    client = deployment.client("s3")

    def upload(item: tuple[str, Path]) -> None:
        key, file = item
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        client.upload_file(
            str(file), deployment.outputs["ImagesBucket"], prefix + key, ExtraArgs={"ContentType": kind}
        )

    return run_all(upload, list(found.items()), "Uploading")


def run_all(work: Callable[[T], object], items: Sequence[T], title: str) -> int:
    """Do one thing to each item on a few threads, with a progress bar; return how many there were."""
    with ThreadPoolExecutor(_THREADS) as threads:
        done = track(threads.map(work, items), description=title, total=len(items))
        return sum(1 for _ in done)
