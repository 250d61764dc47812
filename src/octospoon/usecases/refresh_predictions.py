"""Give the open tasks predictions of the model in service.

Label Studio shows and sorts by the predictions of one version only, which is set in the project. After a
change of the model, the open tasks first get its predictions, and then the project's version is set. A
detector cannot predict from an embedding, so its tasks get the newest boxes that the pool has.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Guess
from octospoon.domain.model_spec import version_name
from octospoon.domain.pool.boxes import classes_of, together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import PredictedTask, Rounds, ShownPredictions
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import PoolRows
    from octospoon.usecases.rescore import Head

    Answer = npt.NDArray[np.float32]

LOG = logging.getLogger(__name__)
PAGE = 100
LEASE = 420.0
"""Seconds for which one run alone may send predictions: the function's own timeout, and the time for which
Label Studio may continue an import after the function has died."""


@dataclass(frozen=True, slots=True)
class RefreshPredictions:
    """The use case. If a run is interrupted, the next resumes; no task gets a version's prediction twice.

    Attributes:
        predictions: the predictions in Label Studio.
        pool: the images, with their embeddings.
        rounds: the lease for sending predictions.
        champions: the model in service.
        head: opens the model's head.
        clock: the time.
        task_type: the kind of label.
        history: returns the project's classes; predictions name these.
    """

    predictions: ShownPredictions
    pool: PoolRows
    rounds: Rounds
    champions: Champions
    head: Callable[[ChampionPointer], tuple[ChampionPointer, Head | None]]
    clock: Clock
    task_type: TaskType
    history: Callable[[], ClassHistory] = ClassHistory

    def __call__(self) -> int:
        """Send missing predictions, and make the project show them; return the number sent.

        Raises:
            RetryableError: Label Studio or AWS did not answer.
        """
        current = self.champions.pointer()
        if current is None or not current[0].predicts:
            return 0
        pointer, history = current[0], self.history()
        version = version_name(pointer.version, history.revision)
        if self.predictions.version() == version:
            return 0
        until = self.clock.now() + LEASE
        if not self.rounds.acquire_predictions(self.clock.now(), until):
            LOG.info("another run is sending the predictions of %s, or was interrupted recently", version)
            return 0
        sent = self._send(pointer, version, history)
        # after an error the request may have succeeded nevertheless, so the lease then stays until it expires
        self.predictions.show(version)
        self.rounds.release_predictions(until)
        return sent

    def _send(self, pointer: ChampionPointer, version: str, history: ClassHistory) -> int:
        _, head = self.head(pointer) if pointer.head_key else (pointer, None)
        translated = self.task_type.translation(history, pointer.classes)
        after = sent = 0
        while translated.names and (page := self.predictions.tasks(after, PAGE)):
            after = page[-1].id
            lacking = [task for task in page if version not in task.versions]
            rows = self.pool.rows(list(dict.fromkeys(task.key for task in lacking if task.key)))
            answers = _answers(list(rows.values()), pointer, head, history)
            fitting = [task for task in lacking if task.key in answers and rows[task.key].etag == task.etag]
            if fitting:
                self.predictions.add(self._guesses(fitting, answers, translated), version)
            sent += len(fitting)
        return sent

    def _guesses(
        self, tasks: Sequence[PredictedTask], answers: Mapping[str, Answer], translated: Translation
    ) -> list[Guess]:
        """Return predictions of the project's classes for tasks, from the answers about their images."""
        shares = translated(together([answers[task.key] for task in tasks]))
        predicted = self.task_type.predicted(shares, translated.names)
        return [
            Guess(task.id, prediction.label, prediction.confidence)
            for task, prediction in zip(tasks, predicted, strict=True)
        ]


def _answers(
    rows: Sequence[PoolRow], pointer: ChampionPointer, head: Head | None, history: ClassHistory
) -> dict[str, Answer]:
    """Return predictions of images by key: of the head, or without a head those that the rows have."""
    if head is None:
        stored = {row.key: in_classes_of(row, pointer, history) for row in rows}
        return {key: answer for key, answer in stored.items() if answer is not None}
    fitting = [row for row in rows if row.backbone == pointer.backbone]
    if not fitting:
        return {}
    answers = head.run(np.stack([row.embedding for row in fitting]))
    return {row.key: answer for row, answer in zip(fitting, answers, strict=True)}


def in_classes_of(row: PoolRow, model: ChampionPointer, history: ClassHistory) -> Answer | None:
    """Return the prediction that a row has, if it is of the classes of the model in service; else None.

    Args:
        row: of an image. An earlier model may have scored it.
        model: the pointer of the model in service.
        history: of the project's classes.

    Returns:
        float32 [C] or [K, 4 + C], as `PoolRow.probabilities`.
    """
    if row.probabilities is None or classes_of(row.probabilities) != len(model.classes):
        return None  # scored without classes, or with another list of them
    if history.revision and row.model_version != model.version:
        return None  # the older model may have had other classes, in the same number
    return row.probabilities
