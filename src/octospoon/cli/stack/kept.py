"""Move data that cannot be used again aside: people made them, and only people remove them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING

from octospoon.cli.stack.record import DETACHED, Record
from octospoon.cli.stack.resumable import annotation_count, holds_files
from octospoon.cli.stack.services import LABEL_STUDIO, LOCALSTACK, MLFLOW, OBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

README = "README.txt"
_PORT = 8090
_PARTS = {
    LABEL_STUDIO: "Label Studio's database, uploads and exports{labels}",
    MLFLOW: "MLflow's database (experiments, runs, registered models) and artefacts",
    f"{LOCALSTACK}/{OBJECTS}": "the objects of the buckets, a folder for each bucket{images}",
    "logs": "the logs of the servers and the functions",
    "project.json": "the deployed stack: names of buckets, tables and queues, and the class names",
    "credentials.json": "the e-mail address and the password of Label Studio; keep them secret",
}


def keep_aside(layout: Layout, why: str) -> Path:
    """Move the data of the detached stack to a folder of their own.

    A single rename moves everything: after an interruption, the next call finds all data where they were. The
    stack must have ended.

    Args:
        layout: of the checkout.
        why: the reason, for the README of the folder.

    Returns:
        The new folder.
    """
    logs = layout.logs / DETACHED
    with contextlib.suppress(OSError):
        os.link(layout.credentials, layout.data / layout.credentials.name)
    target = _moved(layout, layout.data, why)
    if logs.is_dir():
        logs.rename(target / "logs")
    forget_addresses(layout)
    return target


def keep_older_aside(layout: Layout) -> Path:
    """Move data that the installed version cannot use to a separate folder; return it."""
    return _moved(layout, layout.run / DETACHED, "an older version of octospoon wrote them")


def older_version_left_data(layout: Layout) -> bool:
    """Return whether there are data of a version that kept them beside its temporary files."""
    return any((layout.run / DETACHED / name).is_dir() for name in (LABEL_STUDIO, MLFLOW, LOCALSTACK))


def _moved(layout: Layout, folder: Path, why: str) -> Path:
    target = _new_folder(layout.kept)
    with contextlib.suppress(OSError):  # a full disk must not stop the move
        (folder / README).write_text(_readme(layout, folder, target, why))
    folder.rename(target)
    return target


def forget_addresses(layout: Layout) -> None:
    """Remove the record of the servers and the description for other commands; the data stay."""
    record = Record.read(layout.detached)
    if _is_ours(layout, record):
        layout.project.unlink(missing_ok=True)
    layout.detached.unlink(missing_ok=True)


def description(layout: Layout, folder: Path) -> str:
    """Return a short description of a kept folder."""
    labels, images = annotation_count(folder), _image_count(folder)
    parts = [
        "Label Studio's database" + (f" with {labels:,} annotations" if labels is not None else ""),
        "MLflow's runs",
        f"{images:,} images",
    ]
    return f"{_short(layout, folder)} ({', '.join(parts)})"


def folders(layout: Layout) -> list[Path]:
    """Return the kept folders, the oldest first."""
    return sorted(layout.kept.iterdir()) if layout.kept.is_dir() else []


def all_data(layout: Layout) -> list[Path]:
    """Return the kept folders, and then the data of the stack and of an older version, if there are any."""
    older = [layout.run / DETACHED] if older_version_left_data(layout) else []
    return [*folders(layout), *(path for path in [*older, layout.data] if holds_files(path))]


def forget(layout: Layout) -> None:
    """Remove all data. The stack must have ended.

    The data are moved aside first: after an interruption, no stack goes on with a part of them.
    """
    for folder in all_data(layout):
        if folder.parent != layout.kept:
            folder.rename(_new_folder(layout.kept))
    for folder in folders(layout):
        shutil.rmtree(folder)


def _is_ours(layout: Layout, record: Record | None) -> bool:
    """Say whether the project file belongs to this stack: it may belong to a stack in containers."""
    try:
        project = layout.project.read_text()
        if record is not None and LOCALSTACK in record.urls:
            return f'"{record.urls[LOCALSTACK]}"' in project
        return project == layout.resumed_project.read_text()
    except OSError:
        return False


def _new_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    name = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    taken = {folder.name for folder in parent.iterdir()}
    return parent / next(
        free for free in (name, *(f"{name}-{number}" for number in range(2, 1000))) if free not in taken
    )


def _short(layout: Layout, folder: Path) -> str:
    return folder.relative_to(layout.root).as_posix()


def _image_count(folder: Path) -> int:
    """Return the number of objects of the images bucket in a kept folder."""
    buckets = (folder / LOCALSTACK / OBJECTS).glob("*-images-*")
    return sum(1 for bucket in buckets for path in bucket.rglob("*") if path.is_file())


def _readme(layout: Layout, folder: Path, target: Path, why: str) -> str:
    labels, images = annotation_count(folder), _image_count(folder)
    counts = {
        "labels": f" ({labels:,} annotations)" if labels is not None else "",
        "images": f" ({images:,} images in the folder octospoon-images-…)",
    }
    parts = "\n".join(f"{name:22}{text.format(**counts)}" for name, text in _PARTS.items())
    short = _short(layout, target)
    return f"""This folder contains the data of a local stack. They were moved here, because octospoon could
not go on with them: {why}.

{parts}

If the reason is gone, stop the new stack with `octospoon down`, move its folder .octospoon/data away, and
move this folder to .octospoon/data. Then run `octospoon up`.

The labels are in Label Studio's database. To export them, run this command in the checkout:

COLLECT_ANALYTICS=false .octospoon/envs/label-studio/bin/label-studio start --no-browser --port {_PORT} \
--data-dir {short}/{LABEL_STUDIO}

Then open http://localhost:{_PORT}, sign in with credentials.json, open the project and choose Export. Label
Studio cannot show the images, because their addresses belonged to the ended stack. Each exported task names
its image.

To use the images again, run `octospoon drop` with a new stack, on the folder of their bucket (in
{short}/{LOCALSTACK}/{OBJECTS}). Each image gets the key that it had. Objects with keys that cannot be file
names are in odd-keys.

`octospoon down --forget` removes this folder and all others like it. Nothing else does.
"""
