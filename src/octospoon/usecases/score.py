"""Score uploads: read ahead, decode and predict on every core, write behind.

Bad pictures go to quarantine at once, and no image takes another one along.
"""

from __future__ import annotations

import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from octospoon.domain.errors import BadImage, BadModel
from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.entities import ImageRef, Prediction
    from octospoon.ports import ImageStore, Pool, Scorer
    from octospoon.usecases.byte_budget import Lease

MAX_BYTES = 64_000_000


class Outcome(StrEnum):
    """What became of one upload."""

    SCORED = "scored"
    STALE = "stale"
    QUARANTINED = "quarantined"


Step: TypeAlias = "Outcome | Future[Step]"
"""The outcome, or whoever is to know it next."""


@dataclass(frozen=True, slots=True)
class ScoreUploads:
    """The use case.

    Attributes:
        images: where the bytes are.
        pool: where the scores go.
        model: gives the model that predicts now.
        workers: pictures decoded and predicted at once; one for each core.
        downloads: pictures read at once.
        writers: rows written at once.
        max_bytes: of pictures read and not yet predicted; a picture that alone has more still passes.
    """

    images: ImageStore
    pool: Pool
    model: Callable[[], Scorer]
    workers: int
    downloads: int = 16
    writers: int = 4
    max_bytes: int = MAX_BYTES

    def __call__(self, uploads: Sequence[ImageRef]) -> list[Outcome | Exception]:
        """Score each upload on its own: one answer each, in order, an exception where it failed.

        Of the uploads of one key only the newest is scored, since reading any of them gives its bytes.
        The others are stale, or fail with it.
        """
        newest = _newest(uploads)
        ended = dict(zip(newest, self._score(list(newest.values())), strict=True))
        return [_of_one(one, newest[one.key], ended[one.key]) for one in uploads]

    def _score(self, uploads: Sequence[ImageRef]) -> list[Outcome | Exception]:
        with (
            ThreadPoolExecutor(self.writers) as writers,
            ThreadPoolExecutor(self.workers) as workers,
            ThreadPoolExecutor(self.downloads) as downloads,
        ):
            line = _Line(self, ByteBudget(self.max_bytes), workers, writers)
            return [_outcome(one) for one in [downloads.submit(line.read, upload) for upload in uploads]]


@dataclass(frozen=True, slots=True)
class _Line:
    """The stations that one upload goes through; each hands it on and takes the next."""

    use: ScoreUploads
    budget: ByteBudget
    workers: ThreadPoolExecutor
    writers: ThreadPoolExecutor

    def read(self, upload: ImageRef) -> Step:
        lease = self.budget.reserve(upload.size)
        try:
            data, etag = self.use.images.read(upload.key)
            lease.resize(len(data))
            # what was read may be newer than the event: the row says what was scored
            image = replace(upload, etag=etag, size=len(data))
            step = self.workers.submit(self._look, image, data, lease)
        except BadImage as bad:
            lease.release()
            return self.writers.submit(self._quarantine, upload, bad.reason, bad.detail)
        except BaseException:
            lease.release()
            raise
        step.add_done_callback(_forget_locals)
        return step

    def _look(self, image: ImageRef, data: bytes, lease: Lease) -> Step:
        try:
            scorer = self.use.model()
            prediction = _predict(scorer, scorer.preprocess(data))
        except BadImage as bad:
            return self.writers.submit(self._quarantine, image, bad.reason, bad.detail)
        finally:
            lease.release()
        return self.writers.submit(self._write, image, prediction)

    def _write(self, image: ImageRef, prediction: Prediction) -> Step:
        return Outcome.SCORED if self.use.pool.put_score(image, prediction) else Outcome.STALE

    def _quarantine(self, image: ImageRef, reason: str, detail: str) -> Step:
        return Outcome.QUARANTINED if self.use.pool.put_quarantine(image, reason, detail) else Outcome.STALE


def _newest(uploads: Sequence[ImageRef]) -> dict[str, ImageRef]:
    newest: dict[str, ImageRef] = {}
    for one in uploads:
        # zeros on the right, with which S3 wants sequencers padded, are the smallest digits anyway
        if one.sequencer >= newest.get(one.key, one).sequencer:
            newest[one.key] = one
    return newest


def _of_one(upload: ImageRef, newest: ImageRef, ended: Outcome | Exception) -> Outcome | Exception:
    return ended if upload == newest or isinstance(ended, Exception) else Outcome.STALE


def _outcome(step: Step) -> Outcome | Exception:
    try:
        while isinstance(step, Future):
            step = step.result()
    except Exception as error:  # noqa: BLE001 - one image never takes its batch along
        return error
    return step


def _predict(scorer: Scorer, pixels: npt.NDArray[np.uint8]) -> Prediction:
    """Predict one picture; where that fails, find out whether the picture is to blame, or the model.

    Raises:
        BadImage: reason ``model-output``: this picture fails again, and a blank one does not.
        BadModel: the model fails on any picture.
    """
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel:
        scorer.predict(np.zeros_like(pixels)[np.newaxis])
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel as error:
        raise BadImage("model-output", str(error)) from error


def _forget_locals(ended: Future[Step]) -> None:
    """Let go of the picture that the frames of a failure hold, for as long as anybody holds the failure."""
    if (error := ended.exception()) is not None:
        traceback.clear_frames(error.__traceback__)
