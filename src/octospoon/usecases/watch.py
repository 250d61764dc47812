"""Monitor the model in service: evaluate its accuracy, and test uploads for drift.

Each UTC day's uploads are tested once, on the day after, on a bounded sample. A day with few uploads is
tested together with the days before it. The results are stored, and may request training.

A head computes its predictions from stored embeddings. Those of a detector are the boxes that it stored when
it scored the uploads, so only days count on which it did so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch import drift_share
from octospoon.domain.errors import BadModel
from octospoon.domain.monitoring import drift
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import DriftExample, Observation, ObservedDay, known, remembered
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.keys import day
from octospoon.domain.training.policy import reason_to_train
from octospoon.usecases.stored_boxes import StoredBoxes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import TaskType
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
_SCORED = 0.95
"""The share of a day's uploads whose predictions a test needs. A new detector does not read uploads again
that a strategy has chosen. Without these difficult images, a day would look easier than the reference."""
_NOTHING_YET = "the model in service has no classes yet"
_NO_REFERENCE = "this model has no drift reference: a training job stores one, if it has enough images"
_UNSCORED = (
    "; on {}, only {} of {} uploads were scored by version {}, and a detector is tested by its own scores"
)


@dataclass(frozen=True, slots=True)
class WatchReport:
    """The result of one run.

    Attributes:
        version: of the model in service; -1 if it predicts nothing yet.
        evaluation: of the model in service.
        finding: result of the drift test; None if no uploads were tested.
        asked: why training was requested; empty if it was not.
        reason: why no uploads were tested; empty if some were.
        unmeasurable: why the model was not evaluated; empty if it was.
    """

    version: int = -1
    evaluation: Evaluation | None = None
    finding: DriftResult | None = None
    asked: str = ""
    reason: str = ""
    unmeasurable: str = ""


@dataclass(frozen=True, slots=True)
class _Window:
    """The uploads that were tested together, or the reason why none were."""

    reason: str
    finding: DriftResult | None = None
    until: str = ""
    drifted: tuple[DriftExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """The use case.

    Attributes:
        model: gives the model in service, and its head (None for a cold-start model and for a detector).
        evaluate: evaluates the model.
        pool: the uploads.
        references: the drift references of models, from their training data.
        observations: the results of previous runs.
        control: the training job's state.
        clock: the time.
        task_type: the kind of label.
        accuracy_floor: training is requested if the model's metric is shown to be lower; 0 for never.
    """

    model: Callable[[], tuple[ChampionPointer, Head | None]]
    evaluate: EvaluateLive
    pool: WatchingPool
    references: References
    observations: Observations
    control: Control
    clock: Clock
    task_type: TaskType
    accuracy_floor: float = 0.0

    def __call__(self) -> WatchReport:
        """Run once; repeated runs test each day's uploads only once.

        Raises:
            RetryableError: AWS did not answer.
        """
        pointer, head = self.model()
        if not pointer.predicts:
            return WatchReport(reason=_NOTHING_YET)
        evaluation, unmeasurable = self._evaluation(pointer, head)
        before = self.observations.read()
        if before.version != pointer.version:
            before = Observation(version=pointer.version, history=before.history)
        judged = self._window(pointer, head, before)
        now = self.clock.now()
        accuracy = known(evaluation.accuracy) if evaluation else None
        today = ObservedDay(day(now), pointer.version, accuracy, judged.finding)
        seen = replace(before, accuracy=accuracy, observed_at=now, history=remembered(before.history, today))
        if judged.finding:
            seen = replace(seen, judged_until=judged.until, finding=judged.finding, drifted=judged.drifted)
        title = self.task_type.evaluator.metric_title
        reason = reason_to_train(accuracy, judged.finding, self.accuracy_floor, title)
        if reason:
            self.control.request(reason)
        self.observations.save(seen)
        return WatchReport(
            pointer.version, evaluation, judged.finding, reason or "", judged.reason, unmeasurable
        )

    def _evaluation(self, pointer: ChampionPointer, head: Head | None) -> tuple[Evaluation | None, str]:
        """Evaluate the model; a training record that cannot be read does not stop the drift test."""
        try:
            return self.evaluate(pointer, head).evaluation, ""
        except BadModel as error:
            return None, str(error)

    def _window(self, pointer: ChampionPointer, head: Head | None, before: Observation) -> _Window:
        """Test the uploads of the days that were not tested yet."""
        reference = self.references.get(pointer.sha256)
        if reference is None:
            return _Window(_NO_REFERENCE)
        days = [day(self.clock.now() - _DAY * back) for back in range(1, _DAYS_BACK + 1)]
        rows, unscored = self._uploads([date for date in days if date > before.judged_until], pointer, head)
        if len(rows) < LEAST:
            return _Window(f"{len(rows)} uploads on the days not tested yet, {LEAST} are needed{unscored}")
        embeddings = np.stack([row.embedding for row in rows])
        suspected = before.finding is not None and before.finding.level is not Level.NONE
        evaluator = self.task_type.evaluator
        result = drift.compare(
            reference,
            embeddings,
            evaluator.statistics(_stored(rows) if head is None else head.run(embeddings)),
            evaluator.predicted_classes,
            suspected_before=suspected,
        )
        return _Window("", result, days[0], drift_share.examples(reference, rows, result))

    def _uploads(
        self, days: Sequence[str], pointer: ChampionPointer, head: Head | None
    ) -> tuple[list[PoolRow], str]:
        """Return uploads of some days, newest first, that the model can judge; and why it is no more days."""
        detector = StoredBoxes(pointer, None)
        rows: list[PoolRow] = []
        for date in days:
            uploaded = self.pool.rows(self.pool.arrived(date, WINDOW - len(rows))).values()
            fitting = [row for row in uploaded if row.backbone == pointer.backbone]
            if head is None:
                fitting = [row for row in fitting if detector.scored(row)]
                if len(fitting) < _SCORED * len(uploaded):
                    return rows, _UNSCORED.format(date, len(fitting), len(uploaded), pointer.version)
            rows += fitting
            if len(rows) >= WINDOW:
                break
        return rows, ""


def _stored(rows: Sequence[PoolRow]) -> npt.NDArray[np.float32]:
    """Return the stored boxes of rows that have some, float32 [N, K, 4 + C]."""
    return together([row.probabilities for row in rows if row.probabilities is not None])
