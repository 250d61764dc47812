"""Move the data of a detached stack aside when it ends: people made them, and only people remove them."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

from octospoon.cli.stack.record import DETACHED, Record
from octospoon.cli.stack.seed import DATABASE
from octospoon.cli.stack.services import LABEL_STUDIO, LOCALSTACK, MLFLOW, OBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

README = "README.txt"
_PORT = 8090
_PARTS = {
    LABEL_STUDIO: "Label Studio's database, uploads and exports{labels}",
    MLFLOW: "MLflow's database (experiments, runs, registered models) and artefacts",
    f"{LOCALSTACK}/{OBJECTS}": "the objects of the buckets, a folder for each bucket{pictures}",
    "logs": "the logs of the servers and the functions",
    "stack.json": "the servers and their addresses, which do not answer any more",
    "project.json": "the deployed stack: names of buckets, tables and queues, and the class names",
    "credentials.json": "the e-mail address and the password of Label Studio; keep them secret",
}


def keep_aside(layout: Layout) -> Path | None:
    """Move the data of the detached stack to a folder of their own.

    A single rename moves everything: after an interruption, the next call finds all data where they were. The
    stack must have ended.

    Returns:
        The new folder; None if there are no data.
    """
    run_dir, logs = layout.run / DETACHED, layout.logs / DETACHED
    record = Record.read(layout.detached)
    if not _holds_files(run_dir):
        _forget_record(layout, record)
        return None
    _put_beside(layout, run_dir, record)
    target = _new_folder(layout.kept)
    with contextlib.suppress(OSError):  # a full disk must not stop the move
        (run_dir / README).write_text(_readme(layout, run_dir, target))
    run_dir.rename(target)
    if logs.is_dir():
        logs.rename(target / "logs")
    return target


def description(layout: Layout, folder: Path) -> str:
    """Return a short description of a kept folder."""
    labels, pictures = _labels(folder), _pictures(folder)
    parts = [
        "Label Studio's database" + (f" with {labels:,} annotations" if labels is not None else ""),
        "MLflow's runs",
        f"{pictures:,} pictures",
    ]
    return f"{_short(layout, folder)} ({', '.join(parts)})"


def folders(layout: Layout) -> list[Path]:
    """Return the kept folders, the oldest first."""
    return sorted(layout.kept.iterdir()) if layout.kept.is_dir() else []


def forget(layout: Layout) -> None:
    """Remove all kept folders."""
    for folder in folders(layout):
        shutil.rmtree(folder)


def _holds_files(folder: Path) -> bool:
    return folder.is_dir() and any(not path.is_dir() or path.is_symlink() for path in folder.rglob("*"))


def _forget_record(layout: Layout, record: Record | None) -> None:
    """Remove the record of a stack without data, and its empty folder."""
    if (layout.run / DETACHED).is_dir():
        shutil.rmtree(layout.run / DETACHED)
    if _is_ours(layout, record):
        layout.project.unlink(missing_ok=True)
    layout.detached.unlink(missing_ok=True)


def _put_beside(layout: Layout, run_dir: Path, record: Record | None) -> None:
    """Move the files that are needed to use the data into their folder."""
    with contextlib.suppress(OSError):
        os.link(layout.credentials, run_dir / layout.credentials.name)
    if layout.project.exists() and _is_ours(layout, record):
        layout.project.replace(run_dir / layout.project.name)
    if layout.detached.exists():
        layout.detached.replace(run_dir / layout.detached.name)


def _is_ours(layout: Layout, record: Record | None) -> bool:
    """Say whether the project file belongs to this stack: it may belong to a stack in containers."""
    if record is None or LOCALSTACK not in record.urls:
        return True
    try:
        return f'"{record.urls[LOCALSTACK]}"' in layout.project.read_text()
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


def _labels(folder: Path) -> int | None:
    """Return the number of annotations in a kept database; None if it cannot be read."""
    database = folder / LABEL_STUDIO / DATABASE
    if not database.is_file():
        return None
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return int(connection.execute("SELECT count(*) FROM task_completion").fetchone()[0])
    except sqlite3.Error:
        return None


def _pictures(folder: Path) -> int:
    """Return the number of objects of the images bucket in a kept folder."""
    buckets = (folder / LOCALSTACK / OBJECTS).glob("*-images-*")
    return sum(1 for bucket in buckets for path in bucket.rglob("*") if path.is_file())


def _readme(layout: Layout, run_dir: Path, target: Path) -> str:
    labels, pictures = _labels(run_dir), _pictures(run_dir)
    counts = {
        "labels": f" ({labels:,} annotations)" if labels is not None else "",
        "pictures": f" ({pictures:,} pictures in the folder octospoon-images-…)",
    }
    parts = "\n".join(f"{name:22}{text.format(**counts)}" for name, text in _PARTS.items())
    short = _short(layout, target)
    return f"""This folder contains the data of a local stack of octospoon that has ended.

{parts}

The pool, the queues and the counters were in LocalStack's memory and are lost. The labels are in Label
Studio's database. To export them, run this command in the checkout:

COLLECT_ANALYTICS=false .octospoon/envs/label-studio/bin/label-studio start --no-browser --port {_PORT} \
--data-dir {short}/{LABEL_STUDIO}

Then open http://localhost:{_PORT}, sign in with credentials.json, open the project and choose Export. Label
Studio cannot show the pictures, because their addresses belonged to the ended stack. Each exported task names
its picture.

To use the pictures again, run `octospoon drop` with a new stack, on the folder of their bucket (in
{short}/{LOCALSTACK}/{OBJECTS}). Each picture gets the key that it had. Objects with keys that cannot be file
names are in odd-keys.

`octospoon down --forget` removes this folder and all others like it. Nothing else does.
"""
