"""Score uploads: read, decode, predict, write; bad pictures go to quarantine at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.entities import ImageRef
    from octospoon.ports import ImageStore, Pool, Scorer


class Outcome(StrEnum):
    """What became of one upload."""

    SCORED = "scored"
    STALE = "stale"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ScoreUploads:
    """The use case.

    Attributes:
        images: where the bytes are.
        pool: where the scores go.
        model: gives the model that predicts now.
        workers: images under way at once.
    """

    images: ImageStore
    pool: Pool
    model: Callable[[], Scorer]
    workers: int

    def __call__(self, uploads: Sequence[ImageRef]) -> list[Outcome | Exception]:
        """Score each upload on its own: one answer each, in order, an exception where it failed."""
        with ThreadPoolExecutor(max_workers=self.workers) as threads:
            return list(threads.map(self._attempt, uploads))

    def _attempt(self, upload: ImageRef) -> Outcome | Exception:
        try:
            return self._score(upload)
        except Exception as error:  # noqa: BLE001 - one image never takes its batch along
            return error

    def _score(self, upload: ImageRef) -> Outcome:
        scorer = self.model()
        try:
            data, etag = self.images.read(upload.key)
            # what was read may be newer than the event: the row says what was scored
            image = replace(upload, etag=etag, size=len(data))
            pixels = scorer.preprocess(data)
        except BadImage as bad:
            written = self.pool.put_quarantine(upload, bad.reason, bad.detail)
            return Outcome.QUARANTINED if written else Outcome.STALE
        (prediction,) = scorer.predict(pixels[None])
        return Outcome.SCORED if self.pool.put_score(image, prediction) else Outcome.STALE
