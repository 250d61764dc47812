"""Compare a trained detector with the model in service.

Both read the audit images, because a stored embedding gives no boxes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage
from octospoon.domain.evaluation import gate
from octospoon.domain.evaluation.training_record import EVERY_HEAD
from octospoon.domain.labelling.classes import LEAST
from octospoon.domain.pool.boxes import together
from octospoon.training.data.dataset import read_labelled
from octospoon.training.evaluation.gate import judge
from octospoon.training.model.measure import seconds_per_image
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.evaluation.champion import Champion
    from octospoon.training.evaluation.gate import Judged

    Boxes = npt.NDArray[np.float32]

_READERS = 4


@dataclass(frozen=True, slots=True)
class JudgeDetector:
    """Asks the gate about a detector.

    Attributes:
        images: reads the audit images.
        task_type: the kind of label.
        history: of the project's classes.
        rules: the gate's limits.
    """

    images: ImageStore
    task_type: TaskType
    history: ClassHistory
    rules: gate.Rules

    def __call__(
        self, challenger: Scorer, size: int, champion: Champion, audit: Dataset
    ) -> tuple[Judged, Dataset]:
        """Judge a detector that was trained on no audit image.

        An image that one of the models cannot read counts for neither. Nor does one that the model in service
        was trained on, before it joined the audit share.

        Args:
            challenger: the new model.
            size: of its file, in bytes.
            champion: the model in service. One that predicts no boxes is no rival.
            audit: the audit share.

        Returns:
            The decision with its data, and the images of the audit share that it is about.
        """
        rival = champion.scorer if champion.scorer.spec.boxes else None
        read, new, old = self._predicted(audit.images, challenger, rival)
        judged = judge(
            self.task_type.evaluator,
            gate.Answers(challenger.spec, new, seconds_per_image(challenger), size),
            self._of_champion(champion, old, _trained_on(champion, audit, read)),
            audit.labels[read],
            None,
            self.rules,
        )
        if champion.unmeasurable:
            refusal = gate.Decision(promote=False, reasons=(champion.unmeasurable,))
            judged = replace(judged, decision=refusal)
        return judged, audit.only({audit.images[at].key for at in read.tolist()})

    def _of_champion(
        self, champion: Champion, predicted: Boxes | None, seen: npt.NDArray[np.bool_]
    ) -> gate.Answers:
        """Return the champion's answers in the project's classes; NaN for images that it was trained on."""
        translated = self.task_type.translation(self.history, champion.scorer.spec.classes)
        names = translated.names if predicted is not None and len(translated.names) >= LEAST else ()
        answers = None
        if predicted is not None and names:
            answers = np.array(translated(predicted), np.float32)
            answers[seen] = np.nan
        return gate.Answers(
            # the pointer, not the file, says which version is in service
            replace(champion.scorer.spec, version=champion.version, classes=names),
            answers,
            seconds_per_image(champion.scorer),
            len(champion.file),
        )

    def _predicted(
        self, images: Sequence[LabelledImage], challenger: Scorer, rival: Scorer | None
    ) -> tuple[npt.NDArray[np.int64], Boxes, Boxes | None]:
        """Return the positions of the R images that were read, int64 [R], and their predictions.

        The predictions are float32 [R, K, 4 + C] of each model; None without a rival.
        """
        models = [challenger] if rival is None else [challenger, rival]
        read, rows = [], []
        for at, predicted in enumerate(self._predictions_by_image(images, models)):
            if predicted is not None:
                read.append(at)
                rows.append(predicted)
        stacked = [
            together([row[i] for row in rows])
            if rows
            else np.zeros((0, 0, 4 + len(model.spec.classes)), np.float32)
            for i, model in enumerate(models)
        ]
        return np.array(read, np.int64), stacked[0], stacked[1] if rival is not None else None

    def _predictions_by_image(
        self, images: Sequence[LabelledImage], models: Sequence[Scorer]
    ) -> Iterator[list[Boxes] | None]:
        """Yield the predictions of the models for each image; None if one cannot be made."""

        def content(image: LabelledImage) -> bytes | None:
            try:
                return read_labelled(self.images, image)
            except BadImage:
                return None

        with ThreadPoolExecutor(_READERS) as threads:
            for data in threads.map(content, images):
                try:
                    yield None if data is None else [_boxes(model, data) for model in models]
                except BadImage:
                    yield None


def _boxes(model: Scorer, data: bytes) -> Boxes:
    """Return the boxes that a detector predicts, float32 [K, 4 + C]; raises BadImage."""
    predicted = predict_image(model, model.preprocess(data)).probabilities
    return np.asarray(predicted, np.float32)


def _trained_on(champion: Champion, audit: Dataset, read: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which of the R read audit images the model in service was trained on, bool [R]."""
    if champion.record is None:
        return np.zeros(len(read), np.bool_)
    seen: npt.NDArray[np.bool_] = champion.record.folds_of(audit.numbers()[read]) == EVERY_HEAD
    return seen
