"""Give the tasks that are still open the predictions of the model in service.

Label Studio shows, and sorts by, the predictions of one version only: the project's. Once another model
serves, the open tasks get its predictions first, and then the project's version is moved on.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.tasks import Guess
from octospoon.domain.model_spec import version_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.clock import Clock
    from octospoon.ports.labelling import PredictedTask, Rounds, ShownPredictions
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import PoolRows
    from octospoon.usecases.rescore import Head

LOG = logging.getLogger(__name__)
PAGE = 100
LEASE = 420.0
"""Seconds for which one run alone sends predictions: the function's own time-out, and for as long as Label
Studio may go on importing when the function is dead."""


@dataclass(frozen=True, slots=True)
class RefreshPredictions:
    """The use case. A run that dies is resumed by the next: no task gets a version's prediction twice.

    Attributes:
        predictions: those of Label Studio.
        pool: the images, with their embeddings.
        rounds: says who sends predictions.
        champions: the model in service.
        head: opens the part of it that predicts.
        clock: the time.
    """

    predictions: ShownPredictions
    pool: PoolRows
    rounds: Rounds
    champions: Champions
    head: Callable[[ChampionPointer], tuple[ChampionPointer, Head | None]]
    clock: Clock

    def __call__(self) -> int:
        """Send what is missing, and have the project show it; return how many predictions were sent.

        Raises:
            RetryableError: Label Studio or AWS did not answer.
        """
        found = self.champions.pointer()
        if found is None or not found[0].head_key:
            return 0
        pointer, version = found[0], version_name(found[0].version)
        if self.predictions.version() == version:
            return 0
        until = self.clock.now() + LEASE
        if not self.rounds.acquire_predictions(self.clock.now(), until):
            LOG.info("another run sends the predictions of %s, or died lately while it did", version)
            return 0
        sent = self._send(pointer, version)
        # what did not answer may be done all the same: only who knows gives the lease back early
        self.predictions.show(version)
        self.rounds.release_predictions(until)
        return sent

    def _send(self, pointer: ChampionPointer, version: str) -> int:
        _, head = self.head(pointer)
        after = sent = 0
        while head is not None and (page := self.predictions.tasks(after, PAGE)):
            after = page[-1].id
            guesses = self._guesses(page, pointer, head, version)
            if guesses:
                self.predictions.add(guesses, version)
            sent += len(guesses)
        return sent

    def _guesses(
        self, page: Sequence[PredictedTask], pointer: ChampionPointer, head: Head, version: str
    ) -> list[Guess]:
        """Return what the model says of the tasks that lack its prediction."""
        lacking = [task for task in page if version not in task.versions]
        rows = self.pool.rows(list(dict.fromkeys(task.key for task in lacking if task.key)))
        fitting = [
            (task.id, row.embedding)
            for task in lacking
            if (row := rows.get(task.key)) is not None
            and (row.etag, row.backbone) == (task.etag, pointer.backbone)
        ]
        if not fitting:
            return []
        probabilities = head.run(np.stack([embedding for _, embedding in fitting]))
        return [
            Guess(task, pointer.classes[int(said.argmax())], float(said.max()))
            for (task, _), said in zip(fitting, probabilities, strict=True)
        ]
