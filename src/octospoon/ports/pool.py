"""The pool holds one row for each image; each use case sees the part of it that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.labelling.reconciliation import FullAudit, PoolEntry
    from octospoon.domain.labelling.tasks import Pick
    from octospoon.domain.pool.images import (
        Candidate,
        ImageRef,
        KnownScore,
        PoolRow,
        Prediction,
        ScoredImage,
        State,
    )
    from octospoon.domain.trace import ImageRecord


class PoolRows(Protocol):
    """Rows by key."""

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        """Return the rows of these images, with embeddings; missing and quarantined ones are left out."""


class PoolSampling(PoolRows, Protocol):
    """The pool as samples are drawn from it."""

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Page through one shard of the selectable images by sampling key, in (start, end]."""


class ScoringPool(Protocol):
    """The pool as the score function writes it."""

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Write one score unless the row already holds something newer; say whether it was written.

        A new or changed image becomes selectable; a re-delivery of the same bytes changes no state. Where
        new bytes replace a labelled image, its label goes with the old bytes, and off the counter; the row
        keeps a trace of it.
        """

    def note_upload(self, image: ImageRef) -> None:
        """Record a newer upload of the bytes that a row holds, which changes nothing else.

        Without it an older upload of other bytes, still on its way, would take their place.
        """

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        """Write the scores of images that have no row yet, in few calls; return the keys that were written.

        The others, and those whose row failed for a reason of its own, are left to `put_score`.

        Args:
            scored: of different keys.
        """

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        """Return whose scores these images have, as it was a moment ago.

        Images without a score are left out.
        """

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        """Put one upload into quarantine, with the reason, unless a newer upload is there already."""


class RankingPool(PoolSampling, Protocol):
    """The pool as the rank function chooses and claims images."""

    def top(self, n: int) -> list[Candidate]:
        """Return the n selectable images of highest priority, ties broken by key."""

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        """Take one image out of the selectable ones for a round; False where somebody else was first.

        Claiming again for the same round succeeds, so that a round can be resumed.
        """

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        """Record that the image of this round is with the annotators."""


class RescoringPool(PoolRows, Protocol):
    """The pool as the rescore function refreshes it."""

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        """Replace the scores of selectable images whose bytes are unchanged; return the keys written.

        A row that is no longer selectable, holds other bytes or a score of a later generation is left as it
        is.

        Args:
            rows: of different keys, as they were read.
            predictions: one for each row.
        """


class WatchingPool(PoolRows, Protocol):
    """The pool as the watch function reads it."""

    def arrived(self, day: str, limit: int) -> list[str]:
        """Return keys of up to `limit` images uploaded on a day, in whatever state, near to uniformly drawn.

        Args:
            day: of the upload in UTC, such as 2026-01-31.
            limit: what is read does not grow with the pool, nor with the day.
        """


class TrainingPool(PoolSampling, Protocol):
    """The pool as the trainer reads and writes it."""

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        """Store the embeddings and backbones of labelled images; return the keys written.

        A row that is no longer labelled, or holds other bytes, is left as it is. Selectable images get a new
        embedding with a new score only.
        """


class PoolReport(Protocol):
    """The whole pool, for people: each call reads every row."""

    def counts(self) -> dict[State, int]:
        """Count the images by state."""

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        """Return up to `limit` (key, reason, detail) of images in quarantine."""

    def stale_backbone(self, backbone: str) -> Iterator[ImageRef]:
        """Yield the selectable images whose embedding another backbone made."""


class PoolWalk(Protocol):
    """The pool as re-scoring goes through it: by days, then by what these left over."""

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        """Page through the images of one shard uploaded on a day, by sampling key above `start`.

        Images in every state but quarantine are there.

        Args:
            shard: of the pool.
            day: of the upload in UTC, such as 2026-01-31.
            start: a sampling key, below 0 for the first page.
            limit: the most images of a page.

        Returns:
            Their keys, and where the next page starts, None at the end.
        """

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        """Look through up to `limit` selectable images of one shard by sampling key above `start`.

        It is as it was a moment ago: what has been written just now may be among them still.

        Args:
            shard: of the pool.
            generation: scores of an earlier generation are outdated,
            before: and scores of before this time, in epoch seconds.
            oldest: the first day of the uploads that matter, in UTC; empty for all.
            start: a sampling key, below 0 for the first look.
            limit: images to look at, outdated or not.

        Returns:
            The keys of the outdated ones, and where to go on, None at the end.
        """


class PoolEntries(Protocol):
    """The pool as the reconciler goes through it."""

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        """Return the entries of these images; missing ones are left out."""

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        """Return up to `limit` entries after this key in the table's own order, and the last key.

        At the end of the table the last key is empty.
        """

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        """Record that an image which was selectable or claimed is with the annotators, unless it changed."""

    def release(self, entry: PoolEntry) -> bool:
        """Give a claimed or exported image back to the selectable ones, unless it changed."""

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        """Put an image whose object is gone into quarantine, unless it changed."""


class ImageRecords(Protocol):
    """The pool as people ask about one image."""

    def record(self, key: str) -> ImageRecord | None:
        """Return what the pool holds of an image, None where there is no such image."""


class FullAudits(Protocol):
    """How far the bucket, the pool and the annotations have been compared."""

    def read(self) -> FullAudit:
        """Return the newest one."""

    def save(self, before: FullAudit, full_audit: FullAudit) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""


class BlindImages(Protocol):
    """The images whose annotators see no prediction, so that it cannot sway them."""

    def among(self, keys: Sequence[str]) -> set[str]:
        """Return those of the images that annotators label without a prediction."""
