"""The training job: its state, its launcher, and the model registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.training.backbone_change import BackboneChange
    from octospoon.domain.training.jobs import Fate, JobSettings, TrainingState


class Control(Protocol):
    """The training job's state machine."""

    def state(self) -> TrainingState:
        """Return the current state."""

    def begin(
        self,
        before: TrainingState,
        job_id: str,
        reason: str,
        lease_until: float,
        settings: JobSettings | None = None,
    ) -> bool:
        """Move to launching, and reset the counter of new labels.

        Args:
            before: the state as it was read; return False if it has changed since.
            job_id: of the new job.
            reason: for training, shown to people.
            lease_until: epoch seconds by which the job must have started.
            settings: stored with the job.
        """

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        """Store the class names that the labelling project has now."""

    def request(self, reason: str) -> None:
        """Request a training job. The request lapses when the next job begins for any reason."""

    def change_backbone(self, change: BackboneChange) -> bool:
        """Store a change of the backbone with the next revision.

        Return False, and store nothing, if the stored change no longer has the revision of `change`, or 0 if
        there is none.
        """

    def abort(self, job_id: str, before: TrainingState, reason: str) -> bool:
        """Move launching -> failed after a launch that failed, and restore the counter of new labels.

        The job is due again at once.
        """

    def start(self, job_id: str, lease_until: float) -> bool:
        """Move launching -> running, or take over a running job with an expired lease."""

    def relaunch(self, lost: TrainingState, lease_until: float) -> bool:
        """Move running -> launching, because the process of the job is known to be dead.

        Args:
            lost: the state as it was read; return False if the job has ended or renewed its lease since.
            lease_until: epoch seconds by which the job must have started again.
        """

    def renew(self, job_id: str, lease_until: float) -> bool:
        """Extend the lease of a running job; return False if this job is no longer the running one."""

    def finish(self, job_id: str, reason: str) -> bool:
        """Move running -> idle."""

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        """Move launching or running -> failed, with the reason. The job is retried at `retry_at`."""


class TrainingLauncher(Protocol):
    """Starts the training container."""

    def launch(self, job_id: str) -> None:
        """Start one job; launching the same id again starts nothing new."""


class LaunchedJobs(Protocol):
    """The platform that runs launched jobs, if it can report the state of one."""

    def fate(self, job_id: str) -> Fate | None:
        """Return the state of a job; None if the platform does not know it."""

    def stop(self, job_id: str) -> None:
        """Stop a job, and do nothing if it is over."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data that a run was trained and evaluated on.

    Attributes:
        name: of the snapshot.
        uri: of the snapshot.
        sha256: of the manifest of the images that were used, hex.
        images: number of images used, the audit share included.
    """

    name: str
    uri: str
    sha256: str
    images: int


@dataclass(frozen=True, slots=True)
class ModelRun:
    """The run of one training job, and the model version reserved for it.

    Attributes:
        run_id: of the run.
        version: octospoon's version number, which always increases.
        registered: the registry's number of this version; 0 if it is the same.
    """

    run_id: str
    version: int
    registered: int = 0


class Registry(Protocol):
    """The experiment tracker and model registry (MLflow, DagsHub)."""

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        """Open a job's run and reserve a model version; the same job gets the same run and version again.

        The version is reserved first because the model file contains it. A registry that was reset counts
        from 1 again. Octospoon's versions go on, and a tag of the registered version names them.

        Args:
            job_id: of the job.
            tags: of the run.
            claim: takes the registry's next number and returns octospoon's version, which is not below it.
        """

    def follow(self, job_id: str, epochs: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs of a job's model so far, while it is trained. The job's run is open.

        Args:
            job_id: of the job.
            epochs: metrics after each epoch, from the first on. Each is logged once, here or by `log`.
        """

    def log(
        self,
        run: ModelRun,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        folder: Path,
        epochs: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """Log every file under `folder` as an artefact, with ``model.onnx`` as the version's model.

        Args:
            run: of the job.
            params: of the run.
            metrics: of the whole run.
            folder: of the files.
            epochs: metrics after each epoch; steps count from 0.
        """

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        """Record the run's data set; do nothing if the server does not support data sets."""

    def tag(self, run: ModelRun, tags: Mapping[str, str]) -> None:
        """Tag the run and the reserved version."""

    def set_alias(self, alias: str, run: ModelRun) -> None:
        """Point an alias such as ``champion`` at a run's version."""

    def end(self, run: ModelRun, *, succeeded: bool) -> None:
        """Close the run."""

    def end_others(self, run: ModelRun) -> None:
        """Close the open runs of other jobs as killed. Only one job runs at a time, so those jobs died."""


class RunAddresses(Protocol):
    """The addresses of training runs in the experiment tracker, for people."""

    def of_version(self, version: int) -> str:
        """Return the address of the run that made a version; empty if there is no such version."""


class DatasetArchive(Protocol):
    """A repository with the manifests of training data under version control (DagsHub)."""

    def commit(self, run_id: str, manifest: bytes) -> str:
        """Commit a run's manifest as ``datasets/<run id>/manifest.jsonl``; return the commit's id.

        The same manifest again returns a commit that contains it. The call has its own time limit.

        Args:
            run_id: of the run in the experiment tracker.
            manifest: JSON lines, one for each image.

        Raises:
            NotConfigured: the repository does not exist, or there is no token.
            Unauthorized: the token may not write there.
            ServiceUnavailable: the server did not answer in time, or answered 5xx.
            PermanentError: the server refused the manifest; the message has its reason.
        """


class Snapshots(Protocol):
    """Immutable training snapshots."""

    def read(self, job_id: str) -> list[LabelledImage] | None:
        """Return the snapshot of a job, or None before it is written."""

    def write(self, job_id: str, rows: Sequence[LabelledImage]) -> list[LabelledImage]:
        """Write the snapshot of a job once; if it exists already, return the stored snapshot."""

    def find(self, job_id: str, key: str) -> LabelledImage | None:
        """Return one image of a job's snapshot, or None if the image or the snapshot does not exist."""

    def uri(self, job_id: str) -> str:
        """Return the address of a job's snapshot."""
