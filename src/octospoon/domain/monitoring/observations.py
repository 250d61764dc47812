"""What was said of models: by the gate, and by watching.

Apart from the other nouns, so that scoring does not load the statistics behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from octospoon.domain.evaluation.estimators import Estimate  # noqa: TC001 - msgspec resolves it
from octospoon.domain.monitoring.drift import DriftResult  # noqa: TC001 - msgspec resolves it

HISTORY = 60
"""Days that an observation remembers."""


@dataclass(frozen=True, slots=True)
class DriftExample:
    """An upload by which drift shows.

    Attributes:
        key: object key.
        etag: of the bytes that were tested.
        score: of `drift.novelty`.
    """

    key: str
    etag: str
    score: float


@dataclass(frozen=True, slots=True)
class ObservedDay:
    """What was seen of one model on one day.

    Attributes:
        day: on which it was seen, UTC, such as 2026-01-31; drift is that of the uploads before it.
        version: of the model.
        accuracy: its best estimate, the day's last; None without audit labels.
        finding: of drift; None where no window was tested on that day.
    """

    day: str
    version: int
    accuracy: Estimate | None
    finding: DriftResult | None


@dataclass(frozen=True, slots=True)
class Observation:
    """What watching saw last of the model in service.

    Attributes:
        version: of the model; -1 before the first.
        observed_at: epoch seconds.
        accuracy: its best estimate then; None without audit labels.
        judged_until: the last UTC day whose uploads were tested for drift by this model.
        finding: of the newest test; None before the first.
        drifted: of its window the images by which drift shows, most of all first; none but where the finding
            is that drift is confirmed.
        history: the newest HISTORY days, oldest first, of this model and of those before it.
    """

    version: int = -1
    observed_at: float = 0.0
    accuracy: Estimate | None = None
    judged_until: str = ""
    finding: DriftResult | None = None
    drifted: tuple[DriftExample, ...] = ()
    history: tuple[ObservedDay, ...] = ()


def remembered(history: tuple[ObservedDay, ...], newest: ObservedDay) -> tuple[ObservedDay, ...]:
    """Return the history with what was seen now; the same model's same day stands in it once."""
    if newest.accuracy is None and newest.finding is None:
        return history
    last = history[-1] if history else None
    if last is not None and (last.day, last.version) == (newest.day, newest.version):
        history = history[:-1]
        newest = replace(newest, finding=newest.finding or last.finding)
    return (*history, newest)[-HISTORY:]


@dataclass(frozen=True, slots=True)
class ModelDecision:
    """What became of the model of one training job.

    Attributes:
        job_id: of the job.
        version: reserved for the model.
        promoted: True where the gate let it into service.
        reasons: of the gate.
        decided_at: epoch seconds.
        measures: what was measured, by name.
    """

    job_id: str
    version: int
    promoted: bool
    reasons: tuple[str, ...]
    decided_at: float
    measures: dict[str, float]
