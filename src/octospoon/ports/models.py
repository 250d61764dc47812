"""The models: the champion, its predictions, and the observations of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.model_spec import ChampionPointer, ModelSpec
    from octospoon.domain.monitoring.drift import Reference
    from octospoon.domain.monitoring.observations import ModelDecision, Observation
    from octospoon.domain.pool.framing import Framed, Region
    from octospoon.domain.pool.images import (
        Prediction,
    )


class Scorer(Protocol):
    """A loaded model."""

    @property
    def spec(self) -> ModelSpec:
        """The description that the model file contains."""

    @property
    def generation(self) -> int:
        """The generation of the champion pointer that names this model."""

    def preprocess(self, data: bytes) -> Framed:
        """Decode and resize one image to uint8 [H, W, 3].

        Raises:
            BadImage: the file cannot be decoded; the error has the reason.
        """

    def predict(
        self, images: npt.NDArray[np.uint8], regions: Sequence[Region] | None = None
    ) -> list[Prediction]:
        """Score uint8 [N, H, W, 3].

        Args:
            images: the pixels.
            regions: the part of its upload that each image shows, for a model that predicts boxes; None if
                each shows the whole upload.

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
    """A model file on the local disk with a verified checksum."""

    pointer: ChampionPointer
    path: Path


class Champions(Protocol):
    """The champion pointer, and the immutable model files."""

    def pointer(self) -> tuple[ChampionPointer, str] | None:
        """Return the current pointer and its ETag, or None before the first."""

    def changed(self, etag: str) -> tuple[ChampionPointer, str] | None:
        """Return the pointer if its ETag differs from `etag`, else None (one conditional GET)."""

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
        """Store the pointer of a version. This is idempotent: a restarted job may call it again.

        Only version 0, the cold-start model, may be replaced.

        Raises:
            VersionTaken: the version number belongs to another model.
        """

    def newest(self) -> int:
        """Return the highest version number ever claimed, stored or served; -1 before the first."""

    def claim(self, owner: str, least: int) -> int:
        """Reserve a new version number above all others and not below `least`.

        The same owner gets the same number again.

        Args:
            owner: id of the job.
            least: the next number of the registry.
        """

    def version(self, version: int) -> ChampionPointer | None:
        """Return the pointer of a version, or None if there is no such model."""

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        """Replace the pointer by compare-and-swap; return False if its ETag is no longer `expected_etag`."""

    def mend(self, pointer: ChampionPointer) -> bool:
        """Replace an unreadable pointer; return False if the stored pointer is readable or missing."""


class ChampionAlias(Protocol):
    """The registry's alias for the champion, which people may move by hand."""

    def read(self) -> int | None:
        """Return the version that the alias names, or None if there is no alias or model yet."""

    def move(self, version: int) -> bool:
        """Point the alias at a version; return False if the registry no longer has this version."""


class ModelHistory(Protocol):
    """The decisions about models, and the last known position of the registry's champion alias."""

    def record(self, decision: ModelDecision) -> None:
        """Store the decision about a job's model; a restarted job replaces its earlier decision."""

    def decision(self, job_id: str) -> ModelDecision | None:
        """Return the decision about a job's model, or None before it."""

    def alias(self) -> int:
        """Return the last known version of the alias, -1 before the first."""

    def keep_alias(self, version: int) -> None:
        """Store the version that the alias names."""


class ShardReading(NamedTuple):
    """How far a run has read the images of a shard again.

    Attributes:
        run: number of the run.
        shard: of the pool.
        seen: images that are done, of any model.
        left: those of them that did not get the new model's score in time.
    """

    run: int
    shard: int
    seen: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class ReadingState:
    """A run that reads the pool's images again.

    Attributes:
        run: its number.
        version: of the model.
        images: how many of the newest images it covers; -1 for all.
        shards: number of shards that are done.
        seen: images that are done, of any model.
        left: those of them that did not get the new model's score in time.
    """

    run: int
    version: int
    images: int
    shards: int
    seen: int
    left: int


class Rescoring(Protocol):
    """The progress of re-scoring the pool with the champion."""

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        """Start counting the finished shards of a generation, unless it or a later one is being counted.

        The same generation starts again if it now covers older uploads.

        Args:
            generation: of the champion.
            version: of the champion.
            oldest: UTC day of the oldest uploads to re-score, such as 2026-01-31; empty for all.
        """

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        """Record that a shard has no score of an earlier generation among uploads since the day `oldest`."""

    def oldest(self) -> str:
        """Return the UTC day of the oldest uploads that are counted; empty for all."""

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest generation (-1 before the first), and how many shards are done."""

    def orders(self) -> dict[int, str]:
        """Return by shard the score that its priorities hold; unknown shards are left out."""

    def ordered(self, shard: int, order: str) -> None:
        """Record the score that the priorities of a shard hold."""

    def reordering(self, shard: int, order: str, now: float) -> None:
        """Record that the priorities of a shard are being changed to this score now, in epoch seconds."""

    def at_work(self, order: str, since: float) -> set[int]:
        """Return the shards whose priorities were being changed to this score at `since` or later."""


class ReadingProgress(Protocol):
    """The progress of reading the pool's images again for the champion; only the newest run goes on."""

    def begin(self, generation: int, version: int, images: int) -> int:
        """Begin a run, which ends all earlier ones; return its number, 0 if a later generation has begun.

        Args:
            generation: of the champion.
            version: of the champion.
            images: how many of the newest images it covers; -1 for all.
        """

    def takes(self, shard: ShardReading, step: int, now: float, died: float) -> bool:
        """Record the progress of a shard; return whether the message of this step may work on it.

        It may not if its run is not the newest, if a later step is recorded, or if another message with the
        same step began since `died`.

        Args:
            shard: the progress.
            step: number of the message in its chain.
            now: epoch seconds.
            died: epoch seconds; a message that began earlier works no more.
        """

    def done(self, shard: ShardReading) -> None:
        """Record that a shard is done; an older run changes nothing."""

    def newest(self) -> ReadingState | None:
        """Return the newest run; None before the first."""


class Observations(Protocol):
    """The results of watching the champion."""

    def read(self) -> Observation:
        """Return the newest observation."""

    def save(self, observation: Observation) -> None:
        """Store an observation unless a later one is stored."""


class References(Protocol):
    """The drift references: samples of the uploads at the time when a model was trained."""

    def put(self, model_sha256: str, reference: Reference) -> None:
        """Store a model's reference unless it has one already."""

    def get(self, model_sha256: str) -> Reference | None:
        """Return a model's reference, or None if it has none."""


class TrainingRecords(Protocol):
    """The immutable records of which images each version was trained on."""

    def put(self, record: TrainingRecord) -> str:
        """Store a record; return its sha256. Equal records have equal bytes."""

    def get(self, pointer: ChampionPointer) -> TrainingRecord | None:
        """Return a version's record, or None if it was not trained on any audit label.

        Raises:
            BadModel: the version has a record, and it is missing or damaged.
        """
