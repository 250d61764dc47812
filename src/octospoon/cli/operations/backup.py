"""Backups of deployments: everything of a local stack, the tables and labels of a stack on AWS."""

from __future__ import annotations

import json
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.files import PRIVATE, new_file
from octospoon.cli.deployment import find_deployment
from octospoon.cli.operations.exports import labels
from octospoon.cli.stack import attach, backup, resumable
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.record import only_one
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment

    Progress = Callable[[str], None]

TABLES = {"pool": "PoolTable", "annotations": "AnnotationsTable", "control": "ControlTable"}
"""The tables of a stack, by the names of their files; with the outputs that name them."""
_EVERY = 100_000


def back_up_local(target: Path, progress: Progress) -> backup.Manifest:
    """Write everything that the local stack of this checkout holds into a new file.

    Raises:
        BadRequest: the file exists already, or there are no data.
    """
    layout = Layout(Path.cwd().resolve())
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        return backup.back_up(layout, target, progress)


def restore_local(source: Path, progress: Progress) -> backup.Manifest:
    """Read a backup into this checkout.

    Raises:
        BadRequest: the checkout has a stack with data, or the file is not a complete backup.
        NotConfigured: a newer version of octospoon wrote the file.
    """
    layout = Layout(Path.cwd().resolve())
    with only_one(layout, "command", lambda: progress("waiting for another `octospoon up` or `down`")):
        if attach(layout.root) is not None or resumable.holds_files(layout.data):
            raise BadRequest(
                "this checkout has a stack with data, which a backup does not replace: restore in another "
                "checkout, or remove the data with `octospoon down --forget`"
            )
        return backup.restore(layout, source, progress)


def back_up_aws(stack: str, target: Path, progress: Progress) -> backup.Manifest:
    """Write the tables and labels of a stack on AWS into a new file.

    The tables are JSON Lines in DynamoDB's own notation, one item in each line. Reading them consumes read
    capacity: half a unit for each 4 KB.

    Raises:
        BadRequest: the file exists already.
        NotConfigured: there is no such stack.
    """
    deployment = find_deployment(stack)
    with new_file(target, PRIVATE) as draft, tempfile.TemporaryDirectory() as folder:
        here, counts = Path(folder), {}
        for name, output in TABLES.items():
            counts[f"{name}_items"] = _dump(deployment, output, here / f"{name}.jsonl", progress)
        counts["labels"] = labels(deployment, here / "labels.csv").rows
        manifest = backup.manifest_now(backup.AWS, counts)
        with tarfile.open(draft, "w:gz") as archive:
            backup.add_manifest(archive, manifest)
            for path in sorted(here.iterdir()):
                archive.add(path, path.name)
    return manifest


def _dump(deployment: Deployment, output: str, path: Path, progress: Progress) -> int:
    """Write all items of a table into a file, as they are read; return their number."""
    pages = deployment.client("dynamodb").get_paginator("scan").paginate(TableName=deployment.outputs[output])
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for page in pages:
            for item in page["Items"]:
                file.write(json.dumps(item, default=_binary, ensure_ascii=False) + "\n")
                count += 1
                if count % _EVERY == 0:
                    progress(f"{output}: {count:,} items")
    return count


def _binary(value: object) -> str:
    """Return binary data as DynamoDB's JSON has them: in base64."""
    import base64

    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return base64.b64encode(value).decode()
