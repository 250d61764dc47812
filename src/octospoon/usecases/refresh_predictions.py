"""Give the open tasks predictions of the model in service.

Label Studio shows and sorts by the predictions of one version only, which is set in the project. After a
change of the model, the open tasks first get its predictions, and then the project's version is set.

A prediction has the name of the version that made it. A detector cannot predict from an embedding, so an open
task gets its boxes once the image has been read again. Until then it keeps the earlier boxes under their own
version, and the project shows the version that most tasks of the newest round have.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Guess
from octospoon.domain.model_spec import version_name
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import TaskType, Translation
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import PredictedTask, Rounds, ShownPredictions
    from octospoon.ports.models import Champions, ReadingState
    from octospoon.ports.pool import PoolRows
    from octospoon.usecases.rescore import Head

    Answer = npt.NDArray[np.float32]

LOG = logging.getLogger(__name__)
PAGE = 100
LEASE = 420.0
"""Seconds for which one run alone may send predictions: the function's own timeout, and the time for which
Label Studio may continue an import after the function has died."""


@dataclass(slots=True)
class _Pass:
    """One walk over the open tasks.

    Attributes:
        sent: predictions that were added.
        versions: how many tasks of the newest round have a prediction of this version, and how many of the
            others have one of an earlier version.
    """

    sent: int = 0
    versions: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class RefreshPredictions:
    """The use case. If a run is interrupted, the next resumes; no task gets a version's prediction twice.

    Attributes:
        predictions: the predictions in Label Studio.
        pool: the images, with their embeddings.
        rounds: the newest round, and the lease for sending predictions.
        champions: the model in service.
        head: opens the model's head.
        clock: the time.
        task_type: the kind of label.
        reading: returns the newest run that reads images again; None before the first.
        history: returns the project's classes; predictions name these.
    """

    predictions: ShownPredictions
    pool: PoolRows
    rounds: Rounds
    champions: Champions
    head: Callable[[ChampionPointer], tuple[ChampionPointer, Head | None]]
    clock: Clock
    task_type: TaskType
    reading: Callable[[], ReadingState | None]
    history: Callable[[], ClassHistory] = ClassHistory

    def __call__(self) -> int:
        """Send missing predictions, and let the project show them; return the number sent.

        Raises:
            RetryableError: Label Studio or AWS did not answer.
        """
        current = self.champions.pointer()
        if current is None or not current[0].predicts:
            return 0
        pointer, history = current[0], self.history()
        version, shown = version_name(pointer.version, history.revision), self.predictions.version()
        settled = self._settled(version)
        if shown == version and settled and settled == self.rounds.predictions_sent():
            return 0
        until = self.clock.now() + LEASE
        if not self.rounds.acquire_predictions(self.clock.now(), until):
            LOG.info("another run is sending the predictions of %s, or was interrupted recently", version)
            return 0
        done = self._send(pointer, version, history)
        # after an error the request may have succeeded nevertheless, so the lease then stays until it expires
        if shown != version and done.versions[version] >= done.versions[shown]:
            self.predictions.show(version)
        self.rounds.release_predictions(until, settled)
        return done.sent

    def _settled(self, version: str) -> str:
        """Return the name of the state on which the open tasks' predictions depend; empty while it changes.

        It must be read before the tasks are. A round that is being exported brings tasks, and images that are
        being read again bring boxes.
        """
        reading = self.reading()
        if self.rounds.open() or (reading and reading.shards < SHARDS):
            return ""
        return f"{version}, round {self.rounds.last_number()}, reading {reading.run if reading else 0}"

    def _send(self, pointer: ChampionPointer, version: str, history: ClassHistory) -> _Pass:
        _, head = self.head(pointer) if pointer.head_key else (pointer, None)
        translated = self.task_type.translation(history, pointer.classes)
        newest = self.rounds.read(self.rounds.last_number())
        counted = {(pick.key, pick.etag) for pick in newest.picks} if newest else set()
        after, done = 0, _Pass()
        while translated.names and (page := self.predictions.tasks(after, PAGE)):
            after = page[-1].id
            lacking = [task for task in page if version not in task.versions]
            rows = self.pool.rows(list(dict.fromkeys(task.key for task in lacking if task.key)))
            answers = _answers(list(rows.values()), pointer, head)
            fitting = [task for task in lacking if task.key in answers and rows[task.key].etag == task.etag]
            if fitting:
                self.predictions.add(self._guesses(fitting, answers, translated), version)
            done.sent += len(fitting)
            without = [task for task in lacking if task not in fitting]
            for task in page:
                if (task.key, task.etag) in counted:
                    done.versions.update(set(task.versions) if task in without else [version])
        return done

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


def _answers(rows: Sequence[PoolRow], pointer: ChampionPointer, head: Head | None) -> dict[str, Answer]:
    """Return the model's predictions of images by key: its head's, or those that it has stored in the rows.

    An image that this model has not seen has none.
    """
    if head is None:
        return {
            row.key: row.probabilities
            for row in rows
            if row.model_version == pointer.version and row.probabilities is not None
        }
    fitting = [row for row in rows if row.backbone == pointer.backbone]
    if not fitting:
        return {}
    answers = head.run(np.stack([row.embedding for row in fitting]))
    return {row.key: answer for row, answer in zip(fitting, answers, strict=True)}
