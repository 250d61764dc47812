"""Decide when to train: after enough new labels, low accuracy, drift, a lost or failed job, or on request."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain.monitoring.drift import Level
from octospoon.domain.pool.keys import day
from octospoon.domain.training.backbone_change import next_candidate
from octospoon.domain.training.first_labels import FirstLabels
from octospoon.domain.training.jobs import JobStatus, TrainingState

if TYPE_CHECKING:
    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.monitoring.drift import DriftResult

_PAUSE = 900.0
"""Seconds from the start of a job to the next, if two jobs in a row did not come to their end."""
_LONGEST_PAUSE = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class TrainingRules:
    """The settings for starting jobs.

    Attributes:
        new_labels: number of new labels that starts a job, at least 1.
        cool_down: seconds after the start of a job during which accuracy and drift start no other.
        per_day: largest number of jobs per UTC day, at least 1. A lost job is restarted once in any case.
        first: how many labels start a job while no model has classes.
    """

    new_labels: int
    cool_down: float = 6 * 3600.0
    per_day: int = 24
    first: FirstLabels = field(default_factory=FirstLabels)

    def without_model(self, classes: int) -> TrainingRules:
        """Return the rules while no model has classes, for a project with so many classes."""
        return replace(self, new_labels=self.first.training(classes, self.new_labels))


def pause(lost: int) -> float:
    """Return the seconds that must be between the start of a job and the next.

    Args:
        lost: see `TrainingState`. One lost job is normal, because machines end. The pause then doubles with
            each further job.
    """
    return 0.0 if lost == 0 else min(_PAUSE * 2.0 ** min(lost - 1, 16), _LONGEST_PAUSE)


def due(state: TrainingState, rules: TrainingRules, now: float, *, at_once: bool = False) -> str | None:
    """Return why a training job should start now, or None.

    A launching or running job with an expired lease is lost. Its labels were already subtracted from the
    counter, so it is due again at once. If several jobs in a row were lost, failed or could not be started,
    the next waits for `pause`, and it counts against the jobs of a day.

    A failed job is due again when its lease has expired, or when there are enough new labels. A request of
    `wanted` waits for the cool-down and for at least one new label, because the same labels would give the
    same model. If the classes changed since the newest job, neither is needed: the same labels mean other
    classes. A person's request for another backbone waits for nothing but the job before it.

    Args:
        state: the stored state.
        rules: the settings.
        now: epoch seconds.
        at_once: whether a person asks for what is due without a pause.
    """
    lost = 0 if state.status is JobStatus.IDLE else state.lost
    if lost and not at_once and now < state.begun_at + pause(lost):
        return None
    spent = state.begun_day == day(now) and state.begun_today >= rules.per_day
    if state.is_active:
        if now <= state.lease_until or (lost and spent):
            return None
        return f"job {state.job_id} was lost: its lease ran out while {state.status}"
    candidate = next_candidate(state.backbone_change)
    if candidate is not None and state.status is JobStatus.IDLE:
        return f"change of the backbone to {candidate.name}"
    if spent:
        return None
    if state.new_labels >= rules.new_labels:
        return f"{state.new_labels} new labels, threshold {rules.new_labels}"
    changed = state.settings is not None and state.project_classes not in ((), state.settings.classes)
    rested = state.new_labels > 0 and now >= state.begun_at + rules.cool_down
    if state.requested and (changed or rested):
        return state.requested
    if state.status is JobStatus.FAILED and now > state.lease_until:
        return f"job {state.job_id} failed: {state.reason}"
    return None


def reason_to_train(
    accuracy: Estimate | None, finding: DriftResult | None, floor: float, metric: str = "accuracy"
) -> str | None:
    """Return why the observed model in service needs training, or None.

    Args:
        accuracy: the estimate of its accuracy, or of another metric; None if it was not measured.
        finding: the drift result; None if no window was tested.
        floor: smallest acceptable value of the metric; 0 for none.
        metric: its name; see `Evaluator.metric_title`.
    """
    # The upper end of the interval is compared, so that chance in few labels does not start a job.
    if accuracy is not None and accuracy.labels and accuracy.high < floor:
        return (
            f"{metric} {accuracy.value:.3f} (at most {accuracy.high:.3f} by {accuracy.labels} audit labels) "
            f"is below {floor:g}"
        )
    if finding is not None and finding.level is Level.CONFIRMED:
        return f"drift confirmed on {finding.images} uploads"
    return None


def job_id(state: TrainingState) -> str:
    """Return the id of the job that would start from this state; equal states give equal ids."""
    return numbered(state.jobs + 1)


def numbered(job: int) -> str:
    """Return the id of a job from its number, which starts at 1."""
    return f"train-{job:06d}"
