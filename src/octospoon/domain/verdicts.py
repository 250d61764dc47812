"""What was said of models: by the gate, and by watching.

Apart from the other nouns, so that scoring does not load the statistics behind them.
"""

from __future__ import annotations

from dataclasses import dataclass

from octospoon.domain.drift import Finding  # noqa: TC001 - msgspec resolves it
from octospoon.domain.estimation import Estimate  # noqa: TC001 - msgspec resolves it


@dataclass(frozen=True, slots=True)
class Observation:
    """What watching saw last of the model in service.

    Attributes:
        version: of the model; -1 before the first.
        observed_at: epoch seconds.
        accuracy: its best estimate then; None without audit labels.
        judged_until: the last UTC day whose uploads were tested for drift by this model.
        finding: of the newest test; None before the first.
    """

    version: int = -1
    observed_at: float = 0.0
    accuracy: Estimate | None = None
    judged_until: str = ""
    finding: Finding | None = None


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
