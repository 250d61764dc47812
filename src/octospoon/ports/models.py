"""The models: which one serves, what it says, and what watching it has shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.model_spec import ChampionPointer, ModelSpec
    from octospoon.domain.monitoring.drift import Reference
    from octospoon.domain.monitoring.observations import ModelDecision, Observation
    from octospoon.domain.pool.images import (
        Prediction,
    )


class Scorer(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec:
        """The model's own description."""

    def preprocess(self, data: bytes) -> npt.NDArray[np.uint8]:
        """Decode and resize one picture to uint8 [H, W, 3].

        Raises:
            BadImage: with the reason.
        """

    def predict(self, images: npt.NDArray[np.uint8]) -> list[Prediction]:
        """Score uint8 [N, H, W, 3].

        Raises:
            BadModel: the output is not finite or has the wrong shape.
        """


class HeadScorer(Protocol):
    """A loaded head file."""

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D].

        Raises:
            BadModel: the output is not finite or has the wrong shape.
        """


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model file on the local disk whose checksum has been verified."""

    pointer: ChampionPointer
    path: Path


class Champions(Protocol):
    """The pointer to the model that predicts, and the immutable files it points to."""

    def pointer(self) -> tuple[ChampionPointer, str] | None:
        """Return the current pointer and its ETag, or None before the first."""

    def changed(self, etag: str) -> tuple[ChampionPointer, str] | None:
        """Return the pointer if its ETag differs from `etag`, else None (a conditional GET)."""

    def fetch(self, pointer: ChampionPointer, folder: Path) -> Path:
        """Download the pointer's model file and verify its sha256.

        Raises:
            BadModel: the file is missing or its checksum differs.
        """

    def fetch_head(self, pointer: ChampionPointer, folder: Path) -> Path:
        """Download the pointer's head file and verify its sha256; raises as `fetch`."""

    def put_model(self, model: bytes, head: bytes | None) -> tuple[str, str]:
        """Store the immutable files; return the sha256 of each (empty for no head)."""

    def keep(self, pointer: ChampionPointer) -> None:
        """Remember what serving this version means; a job that died may say the same anew.

        Version 0, the cold-start model, may be replaced.

        Raises:
            VersionTaken: the version is another model already.
        """

    def newest(self) -> int:
        """Return the highest version number that was ever claimed, stored or served; -1 before the first."""

    def claim(self, owner: str, least: int) -> int:
        """Return a version number that nobody else has or had, above all others and not below `least`.

        The same owner gets the same number again.

        Args:
            owner: id of the job.
            least: what the registry counts.
        """

    def version(self, version: int) -> ChampionPointer | None:
        """Return what serving a version means, None where no such model was ever made."""

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        """Compare-and-swap the pointer; False where it is no longer the one with `expected_etag`."""

    def mend(self, pointer: ChampionPointer) -> bool:
        """Put a pointer in the place of one that nobody can read; False where it can be read, or is gone."""


class ChampionAlias(Protocol):
    """The registry's own word for the model in service, which people move by hand."""

    def read(self) -> int | None:
        """Return the version that the alias names, None where there is no alias or no model yet."""

    def move(self, version: int) -> bool:
        """Point the alias at a version; False where the registry has no such version any more."""


class ModelHistory(Protocol):
    """What was decided about models, and where a person or the trainer put the registry's champion alias."""

    def record(self, decision: ModelDecision) -> None:
        """Keep the decision about a job's model; the same job decides again after it died."""

    def decision(self, job_id: str) -> ModelDecision | None:
        """Return what was decided about a job's model, None where nothing was yet."""

    def alias(self) -> int:
        """Return the version that the alias was last known to name, -1 before the first."""

    def keep_alias(self, version: int) -> None:
        """Remember which version the alias names."""


class Rescoring(Protocol):
    """How far the pool has been re-scored by the model in service."""

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        """Start counting for a version, unless this generation or a later one is being counted already.

        What goes back further than what is being counted starts the count again.

        Args:
            generation: of the champion.
            version: of the champion.
            oldest: the first day of the uploads that are re-scored, in UTC; empty for all.
        """

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        """Record that one shard has no score of an earlier generation among the uploads from a day on."""

    def oldest(self) -> str:
        """Return the first day of the uploads that are counted, empty for all."""

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest generation (-1 before the first), and its finished shards."""

    def orders(self) -> dict[int, str]:
        """Return which stored score the priorities of each shard are; unknown shards are missing."""

    def ordered(self, shard: int, order: str) -> None:
        """Record which stored score the priorities of one shard are; empty while they are being changed."""


class Observations(Protocol):
    """What was seen of the model in service."""

    def read(self) -> Observation:
        """Return the newest observation."""

    def save(self, observation: Observation) -> None:
        """Replace it, unless a later one is stored."""


class References(Protocol):
    """What the uploads looked like when a model was trained."""

    def put(self, model_sha256: str, reference: Reference) -> None:
        """Store a model's reference; the first one stands."""

    def get(self, model_sha256: str) -> Reference | None:
        """Return a model's reference, None where it has none."""
