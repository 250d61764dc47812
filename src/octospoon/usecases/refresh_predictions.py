"""Give the open tasks predictions of the model in service.

Label Studio shows and sorts by the predictions of one version only, which is set in the project. After a
change of the model, the open tasks first get its predictions, and then the project's version is set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Guess
from octospoon.domain.model_spec import version_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import PredictedTask, Rounds, ShownPredictions
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import PoolRows
    from octospoon.usecases.rescore import Head

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
        if current is None or not current[0].head_key:
            return 0
        pointer, history = current[0], self.history()
        version = version_name(pointer.version, history.revision)
        if self.predictions.version() == version:
            return 0
        until = self.clock.now() + LEASE
        if not self.rounds.acquire_predictions(self.clock.now(), until):
            LOG.info("another run is sending the predictions of %s, or was interrupted recently", version)
            return 0
        sent = self._send(pointer, version, self.task_type.translation(history, pointer.classes))
        # after an error the request may have succeeded nevertheless, so the lease then stays until it expires
        self.predictions.show(version)
        self.rounds.release_predictions(until)
        return sent

    def _send(self, pointer: ChampionPointer, version: str, translated: Translation) -> int:
        _, head = self.head(pointer)
        after = sent = 0
        while head is not None and translated.names and (page := self.predictions.tasks(after, PAGE)):
            after = page[-1].id
            lacking = [task for task in page if version not in task.versions]
            guesses = self._guesses(lacking, pointer, head, translated)
            if guesses:
                self.predictions.add(guesses, version)
            sent += len(guesses)
        return sent

    def _guesses(
        self, lacking: Sequence[PredictedTask], pointer: ChampionPointer, head: Head, translated: Translation
    ) -> list[Guess]:
        """Return the model's predictions for these tasks, of the project's classes."""
        rows = self.pool.rows(list(dict.fromkeys(task.key for task in lacking if task.key)))
        fitting = [
            (task.id, row.embedding)
            for task in lacking
            if (row := rows.get(task.key)) is not None
            and (row.etag, row.backbone) == (task.etag, pointer.backbone)
        ]
        if not fitting:
            return []
        probabilities = translated(head.run(np.stack([embedding for _, embedding in fitting])))
        predicted = self.task_type.predicted(probabilities, translated.names)
        return [
            Guess(task, each.label, each.confidence)
            for (task, _), each in zip(fitting, predicted, strict=True)
        ]
