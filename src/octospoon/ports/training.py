"""The training job: its state, its launcher, and where it logs and registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.training.jobs import JobSettings, TrainingState


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
        """Move to launching, and take the labels counted in `before` off the counter.

        The settings are kept with the job. False where the state is no longer `before`'s.
        """

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        """Record which class names the project has now."""

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
    """The run of one training job, and the model version reserved for what it makes.

    Attributes:
        run_id: of the run.
        version: ours, which never goes back.
        registered: the registry's own number of this version; 0 where it is the same.
    """

    run_id: str
    version: int
    registered: int = 0


class Registry(Protocol):
    """The experiment tracker and model registry (MLflow, DagsHub)."""

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        """Open a job's run and reserve a model version; the same job gets the same run and version again.

        The version comes first, so that the model file can carry it. After a reset, the registry counts from
        1 again; our versions go on, and the registered version's tag names ours.

        Args:
            job_id: of the job.
            tags: of the run.
            claim: gives our version, which is not below the number that the registry counts.
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

    def set_alias(self, alias: str, run: ModelRun) -> None:
        """Point an alias such as ``champion`` at a run's version."""

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
