"""Judge each labelled image of the audit share by several versions of the model.

No version is judged by a head that was trained on the image: see `octospoon.usecases.unseen`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.classes import LEAST
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.boxes import CORNERS, together
from octospoon.domain.pool.images import PoolRow
from octospoon.domain.pool.keys import image_id
from octospoon.usecases.live_evaluation import embedded
from octospoon.usecases.stored_boxes import StoredBoxes
from octospoon.usecases.unseen import Unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.labelling import Labels
    from octospoon.ports.models import TrainingRecords
    from octospoon.ports.pool import PoolRows
    from octospoon.usecases.rescore import Head

    Answers = tuple[npt.NDArray[np.bool_], npt.NDArray[np.floating]]


MOST = 10_000
"""Audit images that heads judge at most: with 1,280 numbers each, their embeddings have 51 MB."""
MOST_WITH_BOXES = 2_000
"""Audit images that detectors judge at most: with 8 objects each, what five versions find is 9 MB of JSON."""
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class JudgedVersion:
    """The answers of one version.

    Attributes:
        version: number of the version.
        judged: bool [N], the images that a head of it has not seen and whose classes it knows.
        predicted: N predicted labels in their stored form; empty texts for images that are not judged.
        scores: the certainty of each part of the N predictions, see `Predicted.scores`.
        confidence: float64 [N]; NaN for images that are not judged.
        right: bool [N]; False for images that are not judged.
    """

    version: int
    judged: npt.NDArray[np.bool_]
    predicted: tuple[str, ...]
    scores: tuple[tuple[float, ...], ...]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class JudgeAudit:
    """The use case.

    Attributes:
        pool: the stored embeddings.
        labels: the labels.
        records: which images each version was trained on.
        head: opens the head of a version.
        task_type: the kind of label.
        history: returns the project's classes.
    """

    pool: PoolRows
    labels: Labels
    records: TrainingRecords
    head: Callable[[ChampionPointer], Head]
    task_type: TaskType
    history: Callable[[], ClassHistory]

    def __call__(
        self, pointers: Sequence[ChampionPointer]
    ) -> tuple[list[LabelledImage], list[JudgedVersion], bool]:
        """Return the N audit images, the answers of each version on them, and whether they are a sample.

        Heads judge those with a stored embedding. Detectors judge those of which their boxes are stored.

        Of more than `MOST` audit images, or `MOST_WITH_BOXES`, a uniform sample is judged. It is the same
        each time.

        Args:
            pointers: of the versions: heads with the backbone of the first, or detectors.

        Raises:
            BadModel: a head, or the record of a version's training, is missing or damaged.
        """
        most = MOST if pointers[0].head_key else MOST_WITH_BOXES
        whole = [image for image in self.labels.labelled() if image.audit]
        audit = _sampled(whole, most)
        images = list[LabelledImage]()
        rows = dict[str, PoolRow]()
        for start in range(0, len(audit), _AT_ONCE):
            some = audit[start : start + _AT_ONCE]
            read = self.pool.rows([image.key for image in some])
            if pointers[0].head_key:
                some = [image for image in some if embedded(image, read.get(image.key), pointers[0])]
            images += some
            rows |= {image.key: read[image.key] for image in some if image.key in read}
        versions = [self._judged(pointer, images, rows) for pointer in pointers]
        return images, versions, len(audit) < len(whole)

    def _judged(
        self, pointer: ChampionPointer, images: Sequence[LabelledImage], rows: Mapping[str, PoolRow]
    ) -> JudgedVersion:
        translated = self.task_type.translation(self.history(), pointer.classes)
        names = translated.names if len(translated.names) >= LEAST else ()
        known, classes = set(names), self.task_type.labels.classes
        named = np.array([set(classes(image.label)) <= known for image in images], bool)
        answered, answers = (self._of_head if pointer.head_key else self._of_detector)(
            pointer, translated, images, rows
        )
        judged = named & answered & bool(names)
        predicted, confidence, right = [""] * len(images), np.full(len(images), np.nan), np.zeros_like(judged)
        scores: list[tuple[float, ...]] = [()] * len(images)
        if judged.any():
            at, evaluator = np.flatnonzero(judged), self.task_type.evaluator
            shown, answers = [images[i] for i in at.tolist()], answers[judged[answered]]
            right[at] = evaluator.right(answers, evaluator.targets([image.label for image in shown], names))
            confidence[at] = evaluator.confidence(answers)
            for i, guess in zip(at.tolist(), self.task_type.predicted(answers, names), strict=True):
                predicted[i], scores[i] = guess.label, guess.scores
        return JudgedVersion(pointer.version, judged, tuple(predicted), tuple(scores), confidence, right)

    def _of_head(
        self,
        pointer: ChampionPointer,
        translated: Translation,
        images: Sequence[LabelledImage],
        rows: Mapping[str, PoolRow],
    ) -> Answers:
        """Return which images a head has not seen, bool [N], and its answers for these."""
        model = Unseen(self.head(pointer), self.records.get(pointer), translated)
        known = model.known(images)
        chosen = [image for image, judged in zip(images, known.tolist(), strict=True) if judged]
        if not chosen:
            return known, np.empty((0, len(translated.names)), np.float32)
        embeddings = np.array([rows[image.key].embedding for image in chosen], np.float32)
        return known, model.answers(chosen, embeddings)

    def _of_detector(
        self,
        pointer: ChampionPointer,
        translated: Translation,
        images: Sequence[LabelledImage],
        rows: Mapping[str, PoolRow],
    ) -> Answers:
        """Return of which images a detector's boxes are stored, bool [N], and these boxes."""
        model = StoredBoxes(pointer, self.records.get(pointer))
        stored = [model.of(image, rows.get(image.key)) for image in images]
        boxes = [predicted for predicted in stored if predicted is not None]
        known = np.array([predicted is not None for predicted in stored], bool)
        if not boxes:
            return known, np.empty((0, 0, CORNERS + len(translated.names)), np.float32)
        return known, translated(together(boxes))


def _sampled(audit: list[LabelledImage], most: int) -> list[LabelledImage]:
    """Return at most that many images in their order; the hashes in their ids choose uniformly."""
    if len(audit) <= most:
        return audit
    chosen = sorted(range(len(audit)), key=lambda i: image_id(audit[i].key, audit[i].etag))[:most]
    return [audit[i] for i in sorted(chosen)]
