"""Have every image read again whose embedding another backbone made, the newest uploads first.

The queue is kept short, so that new uploads never wait behind a large pool. Everything may be interrupted and
done again: an image that has been read is no longer outdated, and its bytes are not predicted twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.cli.operations import rescore
from octospoon.cli.operations.queues import depth
from octospoon.cli.operations.upload import in_parallel
from octospoon.usecases.champion import MAX_AGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.pool.images import ImageRef

WAITING = 1000
"""Most images that wait in the queue."""
_CHUNK = 250
_PAUSE = 1.0
_LONGEST = 600.0


def read_all(deployment: Deployment, images: Sequence[ImageRef]) -> int:
    """Queue images for `score` until none is outdated; return how many are left that cannot be scored.

    Waits first for as long as a scorer may trust an older champion pointer: it would take the images for
    known.

    Args:
        deployment: the deployment.
        images: those with an outdated embedding.
    """
    time.sleep(MAX_AGE)
    left = list(images)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading images", total=len(left))
        while left:
            _feed(deployment, left, lambda done: bar.update(task, completed=done))
            _wait_until_read(deployment)
            before, left = len(left), rescore.stale_images(deployment)
            if len(left) >= before:
                break
    if rescore.serving(deployment).head_key:
        rescore.shards(deployment)  # counts the shards as done; reads no image
    return len(left)


def _feed(deployment: Deployment, images: Sequence[ImageRef], show: Callable[[int], None]) -> None:
    sqs, url = deployment.client("sqs"), deployment.outputs["UploadsQueueUrl"]
    uploads = SqsUploads(sqs, url)
    for start in range(0, len(images), _CHUNK):
        while depth(sqs, url)[0] > WAITING - _CHUNK:
            time.sleep(_PAUSE)
        for _ in in_parallel(uploads.send, images[start : start + _CHUNK]):
            pass
        show(start)


def _wait_until_read(deployment: Deployment) -> None:
    """Wait until the queue is empty, or for `_LONGEST` seconds where new uploads keep it full."""
    sqs, url = deployment.client("sqs"), deployment.outputs["UploadsQueueUrl"]
    until = time.monotonic() + _LONGEST
    while any(depth(sqs, url)) and time.monotonic() < until:
        time.sleep(_PAUSE)
