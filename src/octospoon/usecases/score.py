"""Score uploads: read ahead, decode and predict on every core, and write many rows at once.

An image that cannot be scored goes into quarantine at once. One image's failure never fails another image.
"""

from __future__ import annotations

import contextlib
import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from octospoon.usecases.byte_budget import ByteBudget
from octospoon.usecases.scoring.outcomes import Outcome, outcome_of
from octospoon.usecases.scoring.pipeline import Pipeline
from octospoon.usecases.scoring.rows import RowWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.pool.images import ImageRef, KnownScore
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer
    from octospoon.ports.pool import ScoringPool

T = TypeVar("T")
MAX_BYTES = 64_000_000


class _Threads:
    """Threads that stay for the next batch: starting them takes longer than scoring an image."""

    def __init__(self, downloads: int, workers: int, writers: int) -> None:
        self.downloads, self.workers, self.writers = map(ThreadPoolExecutor, (downloads, workers, writers))


@dataclass(frozen=True, slots=True)
class ScoreUploads:
    """The use case.

    Attributes:
        images: the bytes.
        pool: where the scores are written.
        model: gives the model in service.
        resolve_label: resolves the label of an image whose bytes changed: the new bytes may have annotations.
        workers: images that are decoded and predicted at once; one for each core.
        downloads: images that are read at once.
        writers: calls to the pool at once.
        max_bytes: bytes of images that are read and not yet predicted; a single larger image still passes.
    """

    images: ImageStore
    pool: ScoringPool
    model: Callable[[], Scorer]
    resolve_label: Callable[[str], object]
    workers: int
    downloads: int = 12
    writers: int = 4
    max_bytes: int = MAX_BYTES
    _threads: _Threads = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_threads", _Threads(self.downloads, self.workers, self.writers))

    def __call__(
        self,
        uploads: Sequence[ImageRef],
        seconds_left: Callable[[], float] = lambda: math.inf,
        identified: Callable[[ImageRef], object] = lambda _: None,
    ) -> list[Outcome | Exception]:
        """Score each upload on its own.

        Only the newest upload of each key is scored, because reading any of them gives its bytes. The others
        are stale, or fail with it.

        Args:
            uploads: any number, in any order.
            seconds_left: until this process is stopped; uploads that cannot be begun in time fail with
                ServiceUnavailable.
            identified: called with each upload whose bytes were read, with their identity.

        Returns:
            Each upload's outcome or error, in order.
        """
        if not uploads:
            return []
        newest = _newest(uploads)
        outcomes = self._score(list(newest.values()), seconds_left, identified)
        return [_share(upload, newest[upload.key], outcomes[upload.key]) for upload in uploads]

    def _score(
        self,
        uploads: Sequence[ImageRef],
        seconds_left: Callable[[], float],
        identified: Callable[[ImageRef], object],
    ) -> dict[str, Outcome | Exception]:
        threads, budget = self._threads, ByteBudget(self.max_bytes)
        known: Future[dict[str, KnownScore]] = Future()
        pipeline = Pipeline(self.images, self.model, seconds_left, budget, threads.workers, known, identified)
        # the largest first: a core that ends with a large image alone keeps the others waiting
        for number, upload in enumerate(sorted(uploads, key=lambda upload: -upload.size)):
            if number == self.workers:
                time.sleep(0)  # lets the reads that the cores wait for start first
            reading = threads.downloads.submit(pipeline.read, upload)
            reading.add_done_callback(partial(pipeline.report, upload.key))
        # arrives before the first image does, and costs a hundredth of predicting twice
        threads.writers.submit(_fill, known, partial(self.pool.scored, [upload.key for upload in uploads]))
        with contextlib.suppress(Exception):  # each image that needs the model raises it again
            self.model()  # checks for a newer model now, while the first images are being read
        rows = RowWriter(self.pool, self.resolve_label, known, threads.writers)
        for _ in uploads:
            rows.add(*pipeline.results.get())
        rows.flush()
        return {key: outcome_of(key, step) for key, step in rows.steps.items()}


def _fill(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except Exception as error:  # noqa: BLE001 - raised where the future's result is asked for
        future.set_exception(error)


def _newest(uploads: Sequence[ImageRef]) -> dict[str, ImageRef]:
    newest: dict[str, ImageRef] = {}
    for upload in uploads:
        # S3 compares sequencers padded with zeros on the right; zeros are the smallest digits anyway
        if upload.sequencer >= newest.get(upload.key, upload).sequencer:
            newest[upload.key] = upload
    return newest


def _share(upload: ImageRef, newest: ImageRef, outcome: Outcome | Exception) -> Outcome | Exception:
    """Return an upload's outcome from that of the newest upload of its key."""
    return outcome if upload == newest or isinstance(outcome, Exception) else Outcome.STALE
