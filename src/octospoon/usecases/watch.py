"""Watch the model in service: is it as good as it must be, and do uploads still look as they did?

Each UTC day's uploads are judged once, on the day after, from a bounded sample of them; a thin day is judged
together with those before it. What is found is remembered, and may ask for training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch import drift_share
from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, Observation, ObservedDay, remembered
from octospoon.domain.pool.keys import day
from octospoon.domain.training.policy import wanted

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.clock import Clock
    from octospoon.ports.models import Observations, References
    from octospoon.ports.pool import WatchingPool
    from octospoon.ports.training import Control
    from octospoon.usecases.live_evaluation import EvaluateLive
    from octospoon.usecases.rescore import Head

WINDOW = 500
LEAST = 100
_DAYS_BACK = 14
_DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class WatchReport:
    """What one run saw.

    Attributes:
        version: of the model in service; -1 where it has no classes yet.
        evaluation: its measures.
        finding: of drift, where this run judged a window.
        asked: why training was asked for; empty where it was not.
        reason: why no window was judged; empty where one was.
    """

    version: int = -1
    evaluation: Evaluation | None = None
    finding: DriftResult | None = None
    asked: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Window:
    """The days' uploads that were judged together, or why none were."""

    reason: str
    finding: DriftResult | None = None
    until: str = ""
    drifted: tuple[DriftExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """The use case.

    Attributes:
        model: gives the model in service, and its head (None for a cold-start model).
        measure: how good it is.
        pool: where the uploads are.
        references: what they looked like when it was trained.
        observations: what was seen before.
        control: of the training job.
        clock: the time.
        accuracy_floor: training is asked for where accuracy is shown to be below it; 0 for never.
    """

    model: Callable[[], tuple[ChampionPointer, Head | None]]
    evaluate: EvaluateLive
    pool: WatchingPool
    references: References
    observations: Observations
    control: Control
    clock: Clock
    accuracy_floor: float = 0.0

    def __call__(self) -> WatchReport:
        """Run once; any number of runs judge a day's uploads once.

        Raises:
            RetryableError: AWS did not answer.
        """
        pointer, head = self.model()
        if head is None:
            return WatchReport(reason="the model in service has no classes yet")
        evaluation = self.evaluate(pointer, head).evaluation
        before = self.observations.read()
        if before.version != pointer.version:
            before = Observation(version=pointer.version, history=before.history)
        judged = self._window(pointer, head, before)
        now = self.clock.now()
        accuracy = evaluation.accuracy if evaluation.accuracy.labels else None
        today = ObservedDay(day(now), pointer.version, accuracy, judged.finding)
        seen = replace(before, accuracy=accuracy, observed_at=now, history=remembered(before.history, today))
        if judged.finding:
            seen = replace(seen, judged_until=judged.until, finding=judged.finding, drifted=judged.drifted)
        asked = wanted(evaluation.accuracy, judged.finding, self.accuracy_floor)
        if asked:
            self.control.request(asked)
        self.observations.save(seen)
        return WatchReport(pointer.version, evaluation, judged.finding, asked or "", judged.reason)

    def _window(self, pointer: ChampionPointer, head: Head, before: Observation) -> _Window:
        """Judge the uploads of the days that nobody has judged yet."""
        known = self.references.get(pointer.sha256)
        if known is None:
            return _Window("nothing is known of the uploads that this model was trained on")
        days = [day(self.clock.now() - _DAY * back) for back in range(1, _DAYS_BACK + 1)]
        keys: list[str] = []
        for each in (one for one in days if one > before.judged_until):
            keys += self.pool.arrived(each, WINDOW - len(keys))
            if len(keys) >= WINDOW:
                break
        rows = [row for row in self.pool.rows(keys).values() if row.backbone == pointer.backbone]
        if len(rows) < LEAST:
            return _Window(f"{len(rows)} uploads on the days not judged yet, {LEAST} are needed")
        embeddings = np.stack([row.embedding for row in rows])
        suspected = before.finding is not None and before.finding.level is not Level.NONE
        found = drift.compare(known, embeddings, head.run(embeddings), suspected_before=suspected)
        return _Window("", found, days[0], drift_share.examples(known, rows, found))
