"""Data about models over time: observations of the model in service, and decisions of the gate.

They are separate from the other data classes so that scoring does not load the statistics behind them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from octospoon.domain.evaluation.estimators import Estimate  # noqa: TC001 - msgspec resolves it
from octospoon.domain.monitoring.drift import DriftResult  # noqa: TC001 - msgspec resolves it

HISTORY = 60
"""Number of days that an observation keeps."""


@dataclass(frozen=True, slots=True)
class DriftExample:
    """An upload that differs from the reference while drift is confirmed.

    Attributes:
        key: object key.
        etag: ETag of the bytes that were tested.
        score: its `drift.novelty`.
    """

    key: str
    etag: str
    score: float


@dataclass(frozen=True, slots=True)
class ObservedDay:
    """The observation of one model on one day.

    Attributes:
        day: UTC day of the observation, such as 2026-01-31. Drift is tested on the uploads before that day.
        version: version of the model.
        accuracy: the day's last estimate; None without audit labels.
        finding: the drift result; None if no window was tested on that day.
    """

    day: str
    version: int
    accuracy: Estimate | None
    finding: DriftResult | None


@dataclass(frozen=True, slots=True)
class Observation:
    """The newest observation of the model in service.

    Attributes:
        version: version of the model; -1 before the first.
        observed_at: epoch seconds.
        accuracy: the estimate at that time; None without audit labels.
        judged_until: the last UTC day whose uploads were tested for drift with this model.
        finding: the newest drift result; None before the first.
        drifted: the images of its window that differ most from the reference, highest score first; empty
            unless drift is confirmed.
        history: the newest HISTORY days, oldest first, of this model and earlier ones.
    """

    version: int = -1
    observed_at: float = 0.0
    accuracy: Estimate | None = None
    judged_until: str = ""
    finding: DriftResult | None = None
    drifted: tuple[DriftExample, ...] = ()
    history: tuple[ObservedDay, ...] = ()


def known(share: Estimate) -> Estimate | None:
    """Return an estimate in the form of an observation: finite, because JSON has no other numbers.

    Args:
        share: the estimate of a metric in [0, 1]. Ends that few labels leave open become 0 and 1.

    Returns:
        None without a label, or if the labels do not show the metric: without objects there is no AP50.
    """
    if not share.labels or not math.isfinite(share.value):
        return None
    low, high = (share.low if share.low >= 0 else 0.0), (share.high if share.high <= 1 else 1.0)
    return replace(share, low=low, high=high)


def remembered(history: tuple[ObservedDay, ...], newest: ObservedDay) -> tuple[ObservedDay, ...]:
    """Return the history with the newest day; a later entry of the same model and day replaces the earlier.

    Args:
        history: the days so far, oldest first.
        newest: the new observation; ignored if it has neither accuracy nor drift result.
    """
    if newest.accuracy is None and newest.finding is None:
        return history
    last = history[-1] if history else None
    if last is not None and (last.day, last.version) == (newest.day, newest.version):
        history = history[:-1]
        newest = replace(newest, finding=newest.finding or last.finding)
    return (*history, newest)[-HISTORY:]


@dataclass(frozen=True, slots=True)
class ModelDecision:
    """The gate's decision about the model of one training job.

    Attributes:
        job_id: id of the job.
        version: version number of the model.
        promoted: whether the gate promoted it.
        reasons: the gate's reasons.
        decided_at: epoch seconds.
        measures: metrics of the model, by name.
    """

    job_id: str
    version: int
    promoted: bool
    reasons: tuple[str, ...]
    decided_at: float
    measures: dict[str, float]
