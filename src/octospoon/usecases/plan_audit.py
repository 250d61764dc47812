"""Find out how many audit labels there are and how many are missing, for the audit share of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.batch import class_share
from octospoon.domain.batch.audit_share import AuditPlan, Measured, planned, whole
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.monitoring.drift import Level
from octospoon.domain.pool.images import State
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.ports.labelling import Rounds
    from octospoon.ports.models import ModelHistory, Observations
    from octospoon.ports.pool import PoolRows
    from octospoon.ports.training import Control

_DECISIONS = 5
"""Number of newest jobs among which a decision is looked for; a job that failed has none."""
_DRAWN = (State.CLAIMED, State.EXPORTED, State.LABELLED)


@dataclass(frozen=True, slots=True)
class PlanAudit:
    """The use case. Equal stored data give an equal plan.

    Attributes:
        control: the number of training jobs.
        decisions: what the gate measured.
        observations: what `watch` measured.
        rounds: the labelling rounds.
        pool: the states of the images.
        target: half-width of the metric's interval that is asked for; 0 for a share that never changes.
        metric: name of the metric that stands for a model's quality; see `Evaluator.metric_name`.
        history: returns the project's classes.
        class_labels: returns the number of training labels of each class at the newest training job.
    """

    control: Control
    decisions: ModelHistory
    observations: Observations
    rounds: Rounds
    pool: PoolRows
    target: float
    metric: str
    history: Callable[[], ClassHistory] = ClassHistory
    class_labels: Callable[[], Mapping[str, int]] = dict

    def __call__(self, images: int, version: int) -> AuditPlan:
        """Return the audit share of the next batch.

        Args:
            images: number of images in the whole share.
            version: of the model in service.
        """
        if not self.target or not images:
            return AuditPlan(images)
        history = self.history()
        rare = class_share.sought(history, self.class_labels()) if history.changes else {}
        if rare:
            return whole(images, f"few labels of the added classes {', '.join(sorted(rare))}")
        observed = self.observations.read()
        current = observed.version == version
        if current and observed.finding is not None and observed.finding.level is Level.CONFIRMED:
            return whole(images, "drift is confirmed, and older audit labels say little about new uploads")
        job, decision = self._newest()
        decided = _of(decision, self.metric)
        if decided is None:
            return whole(images, "no model was measured on audit labels yet")
        measured = [decided]
        if current and observed.accuracy is not None:
            seen = observed.accuracy
            measured.append(Measured((seen.high - seen.low) / 2, seen.labels))
        return planned(images, self.target, measured, decided.labels + self._since(job))

    def _newest(self) -> tuple[int, ModelDecision | None]:
        """Return the newest decision and the number of its job."""
        jobs = self.control.state().jobs
        for job in range(jobs, max(0, jobs - _DECISIONS), -1):
            decision = self.decisions.decision(numbered(job))
            if decision is not None:
                return job, decision
        return 0, None

    def _since(self, job: int) -> int:
        """Return how many audit images were drawn after a job began and are labelled or wait."""
        keys: list[str] = []
        last = self.rounds.last_number()
        for number in range(last, max(0, last - class_share.ROUNDS), -1):
            round_ = self.rounds.read(number)
            if round_ is None or round_.jobs < job:
                break
            keys += [pick.key for pick in round_.picks if pick.audit]
        return sum(row.state in _DRAWN for row in self.pool.rows(keys).values()) if keys else 0


def _of(decision: ModelDecision | None, metric: str) -> Measured | None:
    """Return the interval of a decision's metric; None if it has none."""
    measures, low, high = {} if decision is None else decision.measures, f"{metric}_low", f"{metric}_high"
    labels = int(measures.get("audit_labels", 0.0))
    if not labels or not {low, high} <= measures.keys():
        return None
    return Measured((measures[high] - measures[low]) / 2, labels)
