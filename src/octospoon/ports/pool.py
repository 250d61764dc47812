"""The pool holds one row for each image; each use case sees the part of it that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.labelling.reconciliation import FullAudit, PoolEntry
    from octospoon.domain.labelling.tasks import LabelledImage, Pick
    from octospoon.domain.pool.images import (
        Candidate,
        ImageRef,
        KnownScore,
        PoolImage,
        PoolRow,
        Prediction,
        ScoredImage,
        State,
        StoredPrediction,
        UnlabelledImage,
    )
    from octospoon.domain.trace import ImageRecord


class PoolRows(Protocol):
    """Rows by key."""

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        """Return the rows of these images by key, without missing and quarantined images."""


class PoolSampling(PoolRows, Protocol):
    """The pool as samples are drawn from it."""

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Return a page of the selectable images of one shard, ordered by sampling key.

        Args:
            shard: of the pool.
            start: a sampling key; the page holds larger keys only.
            limit: the maximum number of images.
            end: a sampling key; the page holds no larger key.

        Returns:
            The images, and the `start` of the next page, None at the end.
        """


class ScoringPool(Protocol):
    """The pool as the score function writes it."""

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Write one score unless the row holds something newer; return True if it was written.

        A new or changed image becomes selectable. A repeated delivery of the same bytes changes no state. New
        bytes of a labelled image remove its label and correct the counter of new labels. The row keeps the
        old label among its previous uploads.
        """

    def refresh_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Replace the score of an unlabelled image; return True if it was written.

        One request does it for a selectable image, and two for an image that a round has. It is not written
        if the row holds other bytes or a later score. `put_score` is for such rows.
        """

    def note_upload(self, image: ImageRef) -> None:
        """Record a newer upload of the same bytes that a row holds.

        Otherwise a delayed event of an older upload with other bytes would replace them.
        """

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        """Write the scores of images that have no row yet, in few calls; return the keys that were written.

        The caller writes all other images with `put_score`.

        Args:
            scored: images with distinct keys.
        """

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        """Return the models of the stored scores by key, without images that have none.

        The read is eventually consistent: it may miss the newest writes.
        """

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        """Put one upload into quarantine unless the row holds a newer one; return True if it was written."""


class RankingPool(PoolSampling, Protocol):
    """The pool as the rank function chooses and claims images."""

    def top(self, n: int) -> list[Candidate]:
        """Return the n selectable images of highest priority; equal priorities are ordered by key."""

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        """Claim one selectable image for a round; return False if another run was first.

        A repeated claim for the same round succeeds, so that a round can be resumed.

        Args:
            pick: the image, and how it was chosen.
            round_number: of the round.
            until: epoch seconds at which the claim expires.
        """

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        """Record that an image of this round has a task in Label Studio."""


class RescoringPool(PoolRows, Protocol):
    """The pool as the rescore function refreshes it."""

    def unlabelled_images(self, keys: Sequence[str]) -> list[UnlabelledImage]:
        """Return those of these images that are selectable or wait for an answer, in the order of the keys.

        The read is eventually consistent: it may miss the newest writes.
        """

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        """Replace the scores of selectable images with unchanged bytes; return the keys that were written.

        Other rows stay as they are: those no longer selectable, with other bytes, or with a score of a later
        generation.

        Args:
            rows: with distinct keys, as they were read.
            predictions: for each row.
        """


class WatchingPool(PoolRows, Protocol):
    """The pool as the watch function reads it."""

    def arrived(self, day: str, limit: int) -> list[str]:
        """Return the keys of up to `limit` images uploaded on a day, sampled almost uniformly.

        The images are in any state but quarantine. The cost depends on `limit` only, and not on the number of
        images.

        Args:
            day: of the upload in UTC, such as 2026-01-31.
            limit: the maximum number of keys.
        """


class TrainingPool(PoolSampling, Protocol):
    """The pool as the trainer reads and writes it."""

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        """Store the embeddings and backbones of labelled images; return the keys that were written.

        A row that is no longer labelled, or holds other bytes, stays as it is. Selectable images get a new
        embedding only together with a new score.
        """


class PoolReport(Protocol):
    """The whole pool, for people: each call reads every row."""

    def counts(self) -> dict[State, int]:
        """Count the images by state."""

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        """Return (key, reason, detail) of up to `limit` images in quarantine."""

    def of_others(self, backbone: str, generation: int = 0) -> Iterator[ImageRef]:
        """Yield the images that a model must have read again, the newest uploads first.

        They are unlabelled, and their scores are of other models; see `UnlabelledImage.outdated`. The order
        is by day of the upload. All of them are read before the first is yielded.

        Args:
            backbone: of the model.
            generation: the first pointer generation whose scores it can use; 0 for any.
        """

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image, in any order, with a memory that does not grow with the pool."""

    def predictions(self, *, probabilities: bool = False) -> Iterator[StoredPrediction]:
        """Yield the stored prediction of every image outside quarantine, in any order.

        Args:
            probabilities: read those of every class too, or the boxes.
        """

    def images(self) -> Iterator[PoolImage]:
        """Yield every image with its embedding, in any order; the memory does not grow with the pool."""


class PoolWalk(Protocol):
    """The pool in the order in which it is re-scored: by day of upload, then whatever is still outdated."""

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        """Return a page of the images of one shard uploaded on a day, ordered by sampling key.

        The images are in any state but quarantine.

        Args:
            shard: of the pool.
            day: of the upload in UTC, such as 2026-01-31.
            start: a sampling key; the page holds larger keys only. Below 0 for the first page.
            limit: the maximum number of images.

        Returns:
            The keys, and the `start` of the next page, None at the end.
        """

    def outdated(
        self, shard: int, generation: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        """Return the images with an outdated score among the next `limit` selectable images of a shard.

        A score is outdated if its generation is lower than `generation`, or if it is older than `before`. The
        read is eventually consistent: images written just now may still be returned.

        Args:
            shard: of the pool.
            generation: of the champion pointer.
            before: epoch seconds.
            oldest: UTC day of the oldest uploads to return; empty for all.
            start: a sampling key; the search begins above it. Below 0 for the first call.
            limit: number of images to examine, outdated or not.

        Returns:
            The keys of the outdated images, and the `start` of the next call, None at the end.
        """


class PoolEntries(Protocol):
    """The pool as the reconciler reads and repairs it."""

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        """Return the entries of these images by key, without missing images."""

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        """Return up to `limit` entries that follow the key `after` in the table's order, and the last key.

        The last key is empty at the end of the table.
        """

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        """Record the task of an image that was selectable or claimed, unless the entry has changed."""

    def release(self, entry: PoolEntry) -> bool:
        """Make a claimed, exported or retired image selectable again, unless the entry has changed."""

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        """Put an image without an object, or a retired one, into quarantine, unless the entry has changed."""


class ImageRecords(Protocol):
    """The history of one image, for people."""

    def record(self, key: str) -> ImageRecord | None:
        """Return everything that the pool holds about an image, or None if there is no such image."""


class FullAudits(Protocol):
    """The progress of the full audit, which compares the bucket, the pool and the annotations."""

    def read(self) -> FullAudit:
        """Return the newest full audit."""

    def save(self, before: FullAudit, full_audit: FullAudit) -> bool:
        """Replace `before`; return False if it has been replaced already."""


class BlindImages(Protocol):
    """The images that are labelled blind: annotators see no prediction, so that it cannot bias them."""

    def among(self, keys: Sequence[str]) -> set[str]:
        """Return the images among `keys` that are labelled without a prediction."""
