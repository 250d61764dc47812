"""Convert a snapshot of labels to arrays, from stored embeddings or, if they are not valid, computed ones."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage
from octospoon.domain.evaluation.training_record import EVERY_HEAD, deal, image_numbers
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer


_IDS_A_LINE = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dataset:
    """N labelled images as arrays, ordered by key.

    Attributes:
        images: the usable rows of the snapshot.
        embeddings: float32 [N, D], rounded to float16 as the pool stores them.
        labels: int64 with N rows, the targets of the task type; see `Evaluator.targets`.
        dropped: number of unusable rows, by reason.
        unknown: number of rows dropped because of their class, by class name.
        dealt: int64 [N], the fold of each audit image, EVERY_HEAD for others; None before folds are dealt.
        tuned: uint64 [B], numbers of the images that the backbone of the embeddings was fine-tuned on.
    """

    images: tuple[LabelledImage, ...]
    embeddings: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    dropped: dict[str, int]
    unknown: dict[str, int] = field(default_factory=dict)
    dealt: npt.NDArray[np.int64] | None = None
    tuned: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))

    def deal(self, before: TrainingRecord | None, evaluator: Evaluator) -> Dataset:
        """Return the same rows with the folds of the audit images; see `training_record.deal`.

        An audit image without a fold becomes an ordinary image, because the backbone was fine-tuned on it.

        Args:
            before: the record of the model in service; None if it has none.
            evaluator: of the task type.
        """
        audit = np.array([image.audit for image in self.images], bool)
        tuned = self.tuned if before is None else before.backbone
        dealt = deal(self.numbers(), evaluator.strata(self.labels), audit, before)
        images = tuple(
            replace(image, audit=fold != EVERY_HEAD)
            for image, fold in zip(self.images, dealt.tolist(), strict=True)
        )
        return replace(self, images=images, dealt=dealt, tuned=tuned)

    def numbers(self) -> npt.NDArray[np.uint64]:
        """Return the numbers of the images, uint64 [N]; see `image_numbers`."""
        return image_numbers((image.key, image.etag) for image in self.images)

    def fold_numbers(self) -> npt.NDArray[np.int64]:
        """Return the fold of each image, int64 [N]; EVERY_HEAD for all before folds are dealt."""
        return np.full(len(self), EVERY_HEAD, np.int64) if self.dealt is None else self.dealt

    def part(self, *, audit: bool) -> Dataset:
        """Return the audit rows, which judge a model, or all other rows."""
        kept = [i for i, image in enumerate(self.images) if image.audit == audit]
        return self._rows(kept)

    def only(self, keys: Collection[str]) -> Dataset:
        """Return the rows of these images."""
        return self._rows([i for i, image in enumerate(self.images) if image.key in keys])

    def _rows(self, kept: list[int]) -> Dataset:
        images = tuple(self.images[i] for i in kept)
        dealt = None if self.dealt is None else self.dealt[kept]
        return Dataset(images, self.embeddings[kept], self.labels[kept], {}, dealt=dealt, tuned=self.tuned)

    def log_ids(self, job_id: str) -> None:
        """Log the correlation ids of the images that a job uses."""
        ids = [image_id(image.key, image.etag) for image in self.images]
        for start in range(0, len(ids), _IDS_A_LINE):
            _log.info("job %s uses %s", job_id, " ".join(ids[start : start + _IDS_A_LINE]))

    def left_out(self) -> str:
        """Return a text about the labels that the job does not use and why; empty if it uses all."""
        if not self.dropped:
            return ""
        reasons = [f"{count} {reason}" for reason, count in sorted(self.dropped.items())]
        classes = ", ".join(f"{name} ({count})" for name, count in sorted(self.unknown.items()))
        named = f"; classes that it does not know: {classes}" if classes else ""
        return f"{sum(self.dropped.values())} labels are left out: {', '.join(reasons)}{named}"

    def __len__(self) -> int:
        return len(self.images)

    def counts(self) -> dict[str, float]:
        """Return the numbers of labels, by the name of their metric."""
        audit = sum(image.audit for image in self.images)
        counts = {
            "labels": len(self),
            "audit_labels": audit,
            "dropped_labels": sum(self.dropped.values()),
        }
        return {name: float(count) for name, count in counts.items()}


def gather(
    snapshot: Sequence[LabelledImage],
    classes: Sequence[str],
    task_type: TaskType,
    rows: Mapping[str, PoolRow],
    images: ImageStore,
    scorer: Scorer,
) -> Dataset:
    """Collect the embedding and the label of every usable row of a snapshot.

    Rows are dropped if their label has a class that is not in `classes`, or if the image is deleted,
    unreadable, or has other bytes than the annotator saw.

    Args:
        snapshot: the labelled images.
        classes: the class list.
        task_type: the kind of label.
        rows: the rows of the pool, by key, with stored embeddings.
        images: reads images without a valid stored embedding.
        scorer: computes their embeddings; stored ones are valid if its backbone made them.
    """
    kept: list[LabelledImage] = []
    embeddings: list[npt.NDArray[np.float32]] = []
    dropped: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    for image in sorted(snapshot, key=lambda image: image.key):
        others = [name for name in task_type.labels.classes(image.label) if name not in classes]
        if others:
            dropped["unknown-class"] += 1
            unknown.update(others)
            continue
        try:
            embeddings.append(_embedding(image, rows.get(image.key), images, scorer))
            kept.append(image)
        except BadImage as error:
            dropped[error.reason] += 1
    labels = task_type.evaluator.targets([image.label for image in kept], classes)
    stacked = np.stack(embeddings) if kept else np.empty((0, scorer.spec.dim), np.float32)
    return Dataset(tuple(kept), stacked, labels, dict(dropped), dict(unknown))


def as_stored(numbers: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return numbers rounded to float16, as the pool stores them, as float32 of the same shape."""
    return numbers.astype(np.float16).astype(np.float32)


def read_labelled(images: ImageStore, image: LabelledImage) -> bytes:
    """Return the bytes of an image that was labelled.

    Raises:
        BadImage: the image is deleted, or its bytes are no longer those that were labelled.
    """
    stored = images.read(image.key)
    if not stored.matches(image.etag):
        raise BadImage("changed", f"{image.key} is no longer the image that was labelled")
    return stored.data


def _embedding(
    image: LabelledImage, row: PoolRow | None, images: ImageStore, scorer: Scorer
) -> npt.NDArray[np.float32]:
    if row is not None and row.backbone == scorer.spec.backbone and row.etag == image.etag:
        return row.embedding.astype(np.float32)
    framed = scorer.preprocess(read_labelled(images, image))
    return as_stored(scorer.predict(framed.pixels[np.newaxis], [framed.region])[0].embedding)
