"""What the use cases need from the outside world, as protocols.

Every method either does what it says or raises an error of `octospoon.domain.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.consensus import Consensus
    from octospoon.domain.drift import Reference
    from octospoon.domain.images import (
        Candidate,
        ImageRef,
        KnownScore,
        PoolRow,
        Prediction,
        ScoredImage,
        State,
        StoredObject,
    )
    from octospoon.domain.jobs import TrainingState
    from octospoon.domain.labelling import Annotation, LabelledImage, Pick, Round, Standing, Task
    from octospoon.domain.model_spec import ChampionPointer, ModelSpec
    from octospoon.domain.sweeps import Inventory, PoolEntry, Sweep
    from octospoon.domain.trace import ImageRecord, StoredVersion
    from octospoon.domain.verdicts import ModelDecision, Observation


KEY_BYTES = 1024
"""The longest object key that S3 takes, in UTF-8."""


class Clock(Protocol):
    """The time; a port so that tests can move it."""

    def now(self) -> float:
        """Return the time in epoch seconds."""


class ImageStore(Protocol):
    """The images bucket."""

    def read(self, key: str) -> tuple[bytes, str]:
        """Return an object's bytes and its ETag (without quotes).

        Raises:
            BadImage: reason ``gone``: there is no such object any more.
        """

    def uri(self, key: str) -> str:
        """Return the s3:// address that annotators' tools resolve."""


class Inbox(Protocol):
    """Where pictures that somebody asked about join the pool."""

    def add(self, data: bytes) -> str:
        """Put a picture into the images bucket, the same bytes once; return its object key."""


class Bucket(Protocol):
    """The images bucket as a list of objects."""

    def listing(self, after: str, limit: int) -> list[StoredObject]:
        """Return up to `limit` objects whose keys come after this one; fewer does not mean the end."""

    def exists(self, key: str) -> bool:
        """Say whether there is such an object now."""


class ObjectVersions(Protocol):
    """The images bucket as a history."""

    def versions(self, key: str) -> list[StoredVersion]:
        """Return what the bucket still holds of an object's uploads and deletions, oldest first."""


class Uploads(Protocol):
    """The queue that uploads are scored from."""

    def send(self, image: ImageRef) -> None:
        """Queue one upload, as the bucket's event would."""


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


class Pool(Protocol):
    """One row per image, with two sparse indexes over the selectable ones."""

    def put_score(self, image: ImageRef, prediction: Prediction) -> bool:
        """Write one score unless the row already holds something newer; say whether it was written.

        A new or changed image becomes selectable; a re-delivery of the same bytes changes no state. Where
        new bytes replace a labelled image, its label goes with the old bytes, and off the counter; the row
        keeps a trace of it.
        """

    def insert_scores(self, scored: Sequence[ScoredImage]) -> set[str]:
        """Write the scores of images that have no row yet, in few calls; return the keys that were written.

        The others, and those whose row failed for a reason of its own, are left to `put_score`.

        Args:
            scored: of different keys.
        """

    def scored(self, keys: Sequence[str]) -> dict[str, KnownScore]:
        """Return whose scores these images have, as it was a moment ago.

        Images without a score are left out.
        """

    def put_quarantine(self, image: ImageRef, reason: str, detail: str) -> bool:
        """Put one upload into quarantine, with the reason, unless a newer upload is there already."""

    def top(self, n: int) -> list[Candidate]:
        """Return the n selectable images of highest priority, ties broken by key."""

    def rows(self, keys: Sequence[str]) -> dict[str, PoolRow]:
        """Return the rows of these images, with embeddings; missing and quarantined ones are left out."""

    def claim(self, pick: Pick, round_number: int, until: float) -> bool:
        """Take one image out of the selectable ones for a round; False where somebody else was first.

        Claiming again for the same round succeeds, so that a round can be resumed.
        """

    def mark_exported(self, key: str, round_number: int, task_id: int) -> None:
        """Record that the image of this round is with the annotators."""

    def rescore(self, rows: Sequence[PoolRow], predictions: Sequence[Prediction]) -> set[str]:
        """Replace the scores of selectable images whose bytes are unchanged; return the keys written.

        A row that is no longer selectable, holds other bytes or a score of a later turn is left as it is.

        Args:
            rows: of different keys, as they were read.
            predictions: one for each row.
        """

    def reembed(self, rows: Sequence[PoolRow]) -> set[str]:
        """Store the embeddings and backbones of labelled images; return the keys written.

        A row that is no longer labelled, or holds other bytes, is left as it is. Selectable images get a new
        embedding with a new score only.
        """

    def selectable(
        self, shard: int, start: float, limit: int, end: float = 1.0
    ) -> tuple[list[Candidate], float | None]:
        """Page through one shard of the selectable images by lottery number, in (start, end]."""

    def arrived(self, day: str, limit: int) -> list[str]:
        """Return keys of up to `limit` images uploaded on a day, in whatever state, near to uniformly drawn.

        Args:
            day: of the upload in UTC, such as 2026-01-31.
            limit: what is read does not grow with the pool, nor with the day.
        """

    def foreign(self, backbone: str) -> Iterator[ImageRef]:
        """Yield the selectable images whose embedding another backbone made (reads the whole pool)."""

    def counts(self) -> dict[State, int]:
        """Count the images by state (reads the whole pool: for people, not for functions)."""

    def quarantined(self, limit: int) -> list[tuple[str, str, str]]:
        """Return up to `limit` (key, reason, detail) of images in quarantine."""


class PoolWalk(Protocol):
    """The pool as re-scoring goes through it: by days, then by what these left over."""

    def uploaded(self, shard: int, day: str, start: float, limit: int) -> tuple[list[str], float | None]:
        """Page through the images of one shard uploaded on a day, by lottery number above `start`.

        Images in every state but quarantine are there.

        Args:
            shard: of the pool.
            day: of the upload in UTC, such as 2026-01-31.
            start: a lottery number, below 0 for the first page.
            limit: the most images of a page.

        Returns:
            Their keys, and where the next page starts, None at the end.
        """

    def outdated(
        self, shard: int, turn: int, before: float, oldest: str, start: float, limit: int
    ) -> tuple[list[str], float | None]:
        """Look through up to `limit` selectable images of one shard by lottery number above `start`.

        It is as it was a moment ago: what has been written just now may be among them still.

        Args:
            shard: of the pool.
            turn: scores of an earlier turn are outdated,
            before: and scores of before this time, in epoch seconds.
            oldest: the first day of the uploads that matter, in UTC; empty for all.
            start: a lottery number, below 0 for the first look.
            limit: images to look at, outdated or not.

        Returns:
            The keys of the outdated ones, and where to go on, None at the end.
        """


class PoolEntries(Protocol):
    """The pool as the reconciler goes through it."""

    def entries(self, keys: Sequence[str]) -> dict[str, PoolEntry]:
        """Return the entries of these images; missing ones are left out."""

    def page(self, after: str, limit: int) -> tuple[list[PoolEntry], str]:
        """Return up to `limit` entries after this key in the table's own order, and the last key.

        At the end of the table the last key is empty.
        """

    def adopt(self, entry: PoolEntry, task_id: int) -> bool:
        """Record that an image which was selectable or claimed is with the annotators, unless it changed."""

    def release(self, entry: PoolEntry) -> bool:
        """Give a claimed or exported image back to the selectable ones, unless it changed."""

    def withdraw(self, entry: PoolEntry, reason: str, detail: str) -> bool:
        """Put an image whose object is gone into quarantine, unless it changed."""


class ImageRecords(Protocol):
    """The pool as people ask about one image."""

    def record(self, key: str) -> ImageRecord | None:
        """Return what the pool holds of an image, None where there is no such image."""


class Labels(Protocol):
    """What annotators said, and the label that follows from it."""

    def upsert(self, annotation: Annotation) -> bool:
        """Store an annotation unless a newer version of it is stored; say whether anything changed."""

    def find(self, number: int) -> Annotation | None:
        """Return the newest stored version of Label Studio's annotation `number`."""

    def of(self, key: str) -> list[Annotation]:
        """Return every stored annotation of an image, deleted ones included."""

    def replace(self, before: Annotation, annotation: Annotation) -> bool:
        """Store what Label Studio says now over a stored version, unless that one has changed meanwhile.

        The one way back for an annotation that was taken for deleted.
        """

    def keys(self, after: str, limit: int) -> tuple[list[str], str]:
        """Page through the images that have stored annotations; return their keys, and where the page ends.

        That end is what comes next as `after`, and empty at the end of the table.
        """

    def standing(self, key: str) -> Standing | None:
        """Return where an image stands, None where there is no such image or it is in quarantine."""

    def settle(self, before: Standing, agreed: Consensus) -> int:
        """Make this the image's label and adjust the counter of new labels, in one transaction.

        Returns:
            +1 if the image became labelled, -1 if it ceased to be, 0 otherwise.

        Raises:
            Conflict: the image is no longer as it was in `before`; read again and retry.
        """

    def labelled(self) -> Iterator[LabelledImage]:
        """Yield every labelled image, ordered by key."""


class Rounds(Protocol):
    """The labelling batches, each kept for ever."""

    def open(self) -> Round | None:
        """Return the round that was chosen but not yet wholly exported."""

    def read(self, number: int) -> Round | None:
        """Return a round by its number, None where there is no such."""

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open one; where another was first, return that one instead."""

    def take(self, number: int, now: float, until: float) -> bool:
        """Become the only one who exports an open round until then; False where somebody else is."""

    def untake(self, number: int, until: float) -> None:
        """Let others export the round at once: nothing of it is on its way to Label Studio."""

    def close(self, number: int) -> None:
        """Mark a round as exported."""


class Rescoring(Protocol):
    """How far the pool has been re-scored by the model in service."""

    def begin(self, turn: int, version: int, oldest: str = "") -> None:
        """Start counting for the version of this turn, unless it or a later one is being counted already.

        What goes back further than what is being counted starts the count again.

        Args:
            turn: of the champion.
            version: of the champion.
            oldest: the first day of the uploads that are re-scored, in UTC; empty for all.
        """

    def done(self, turn: int, shard: int, oldest: str = "") -> None:
        """Record that one shard has no score of an earlier turn among the uploads from a day on."""

    def oldest(self) -> str:
        """Return the first day of the uploads that are counted, empty for all."""

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest turn (-1 before the first), and the shards it has gone through."""

    def orders(self) -> dict[int, str]:
        """Return which stored score the priorities of each shard are; unknown shards are missing."""

    def ordered(self, shard: int, order: str) -> None:
        """Record which stored score the priorities of one shard are; empty while they are being changed."""


class TaskBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio task that counting needs."""

    id: int
    data: dict[str, Any]

    @property
    def key(self) -> str:
        """The object key of the image; empty for a task that is not ours."""
        key = self.data.get("key")
        return key if isinstance(key, str) and len(key.encode()) <= KEY_BYTES else ""

    @property
    def etag(self) -> str:
        """The ETag of the bytes that the task was made for."""
        return str(self.data.get("etag", ""))


class AnnotationBody(msgspec.Struct, frozen=True):
    """The part of a Label Studio annotation that counting needs; a deletion carries the id alone."""

    id: int
    unique_id: str = ""
    updated_at: str = ""
    task: int = 0
    completed_by: int | None = None
    was_cancelled: bool = False
    result: list[Any] | None = None


class AnnotatedTask(TaskBody, frozen=True):
    """A Label Studio task with all its annotations."""

    annotations: list[AnnotationBody]


class Labeler(Protocol):
    """Label Studio."""

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        """Return by key the task of every image that has one for these very bytes (etags by key)."""

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        """Return every task of these images, of any of their bytes, with its annotations."""

    def delete(self, task_id: int) -> bool:
        """Delete a task unless somebody has begun to answer it; say whether it is gone."""

    def create(self, tasks: Sequence[Task], model_version: str) -> dict[str, int]:
        """Create tasks with predictions, once and without retrying; return their ids by key.

        Predictions that the labelling interface does not offer are left out.

        Raises:
            NotConfigured: the labelling interface is not ours: no annotation would count.
        """

    def open_tasks(self) -> int:
        """Return how many tasks wait for an annotator."""

    def use_model_version(self, model_version: str) -> None:
        """Make this the version whose predictions Label Studio shows and sorts by."""

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that changed since then, by ascending id.

        A new, changed or deleted annotation changes its task.

        Args:
            since: epoch seconds; 0 for every task.
            after: only tasks of a higher id.
            limit: the most tasks to return; fewer does not mean that there are no more.
        """

    def waiting(self, after: int, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that nobody has answered, of ids above `after`, by ascending id."""

    def has(self, annotation: Annotation) -> bool:
        """Say whether an annotation is still there."""


class Sweeps(Protocol):
    """How far Label Studio's tasks have been compared with what is stored."""

    def read(self) -> Sweep:
        """Return the newest sweep."""

    def save(self, before: Sweep, sweep: Sweep) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""


class Inventories(Protocol):
    """How far the bucket, the pool and the annotations have been compared."""

    def read(self) -> Inventory:
        """Return the newest one."""

    def save(self, before: Inventory, inventory: Inventory) -> bool:
        """Replace `before`; False where somebody else has replaced it already."""


class Control(Protocol):
    """The training job's state machine."""

    def state(self) -> TrainingState:
        """Return the current state."""

    def begin(self, before: TrainingState, job_id: str, reason: str, lease_until: float) -> bool:
        """Move to launching, and take the labels counted in `before` off the counter.

        False where the state is no longer `before`'s.
        """

    def request(self, reason: str) -> None:
        """Ask for a job, until the next one is begun for whatever reason."""

    def abort(self, job_id: str, before: TrainingState) -> bool:
        """Move launching -> idle and give the labels of `before` back: nothing was launched."""

    def start(self, job_id: str, lease_until: float) -> bool:
        """Move launching -> running, or take over a running job whose lease has run out."""

    def renew(self, job_id: str, lease_until: float) -> bool:
        """Extend the lease of a running job; False where it is no longer this job that runs."""

    def finish(self, job_id: str, reason: str) -> bool:
        """Move running -> idle."""

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        """Move launching or running -> failed, with the reason; it is due again at `retry_at`."""


class TrainingLauncher(Protocol):
    """Starts the training container."""

    def launch(self, job_id: str) -> None:
        """Start one job; launching the same id again starts nothing new."""


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
        """Remember what serving this version means; a job that died may say it anew."""

    def version(self, version: int) -> ChampionPointer | None:
        """Return what serving a version means, None where no such model was ever made."""

    def promote(self, pointer: ChampionPointer, expected_etag: str | None) -> bool:
        """Compare-and-swap the pointer; False where it is no longer the one with `expected_etag`."""

    def mend(self, pointer: ChampionPointer) -> bool:
        """Put a pointer in the place of one that nobody can read; False where it can be read, or is gone."""


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


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run was trained and judged on.

    Attributes:
        name: of the snapshot.
        uri: where it is.
        sha256: of the manifest of those of its images that were used, hex.
        images: how many these are, the audit share included.
    """

    name: str
    uri: str
    sha256: str
    images: int


@dataclass(frozen=True, slots=True)
class ModelRun:
    """The run of one training job, and the model version reserved for what it makes."""

    run_id: str
    version: int


class Registry(Protocol):
    """The experiment tracker and model registry (MLflow, DagsHub)."""

    def begin(self, job_id: str, tags: Mapping[str, str]) -> ModelRun:
        """Open a job's run and reserve a model version; the same job gets the same run and version again.

        The version comes first, so that the model file can carry the number that it is registered under.
        """

    def log(
        self,
        run: ModelRun,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        folder: Path,
        epochs: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """Log every file under `folder` as an artefact; its ``model.onnx`` becomes the version's model.

        Args:
            run: the job's.
            params: what was chosen.
            metrics: of the whole run.
            folder: of the files.
            epochs: metrics after each epoch, whose steps count from 0.
        """

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        """Record the run's data set, where the server knows of data sets; where it does not, do nothing."""

    def tag(self, run: ModelRun, tags: Mapping[str, str]) -> None:
        """Tag the run and the reserved version."""

    def set_alias(self, alias: str, version: int) -> None:
        """Point an alias such as ``champion`` at a version."""

    def end(self, run: ModelRun, *, succeeded: bool) -> None:
        """Close the run."""

    def end_others(self, run: ModelRun) -> None:
        """Close, as killed, what other jobs' runs are open: one job runs at a time, so those died."""


class RunAddresses(Protocol):
    """Where people find a training run in the experiment tracker."""

    def of_version(self, version: int) -> str:
        """Return the address of the run that made a version; empty where there is no such version."""


class DatasetArchive(Protocol):
    """Where the manifests of training data are kept under version control, for people (DagsHub)."""

    def commit(self, run_id: str, manifest: bytes) -> str:
        """Commit a run's manifest as ``datasets/<run id>/manifest.jsonl``; return the commit's id.

        The same manifest again gives a commit that holds it. The call ends within a time of its own.

        Args:
            run_id: of the run in the experiment tracker.
            manifest: JSON lines, one for each image.

        Raises:
            NotConfigured: there is no such repository, or no token.
            Unauthorized: the token may not write there.
            ServiceUnavailable: it did not answer in time, or answered 5xx.
            PermanentError: it refused the manifest, and says why.
        """


class ChampionAlias(Protocol):
    """The registry's own word for the model in service, which people move by hand."""

    def read(self) -> int | None:
        """Return the version that the alias names, None where there is no alias or no model yet."""

    def move(self, version: int) -> bool:
        """Point the alias at a version; False where the registry has no such version any more."""


class Snapshots(Protocol):
    """Immutable training snapshots."""

    def read(self, job_id: str) -> list[LabelledImage] | None:
        """Return the snapshot of a job, None before it is written."""

    def write(self, job_id: str, rows: Sequence[LabelledImage]) -> list[LabelledImage]:
        """Write the snapshot of a job once; where one exists already, return that one."""

    def find(self, job_id: str, key: str) -> LabelledImage | None:
        """Return one image as a job's snapshot holds it, None where it holds it not, or is not written."""

    def uri(self, job_id: str) -> str:
        """Return the address of a job's snapshot."""
