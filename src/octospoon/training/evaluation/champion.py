"""The model in service, with which a new one is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.models import Scorer


@dataclass(frozen=True, slots=True)
class Champion:
    """The model in service, or the starter backbone before the first pointer.

    Attributes:
        pointer: None before the first.
        etag: of the pointer.
        file: the model file.
        scorer: the loaded model.
        record: of its training; None for a model that was trained on no audit label.
        unmeasurable: why no head of it can be trusted to judge; empty if its record could be read.
    """

    pointer: ChampionPointer | None
    etag: str | None
    file: bytes
    scorer: Scorer
    record: TrainingRecord | None = None
    unmeasurable: str = ""

    @property
    def version(self) -> int:
        """The version in service, -1 before the first."""
        return -1 if self.pointer is None else self.pointer.version
