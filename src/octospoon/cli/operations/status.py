"""Reads where a deployment stands: images, model, labels, tasks, queues and quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.cli.operations import reading_status
from octospoon.cli.operations.addresses import addresses_of
from octospoon.cli.operations.labelling_tasks import open_tasks
from octospoon.cli.operations.queues import read_queues
from octospoon.domain.batch import drift_share
from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import State
from octospoon.domain.training.first_labels import FirstLabels

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.addresses import Addresses
    from octospoon.cli.operations.queues import QueueStatus
    from octospoon.cli.operations.reading_status import ReadingStatus
    from octospoon.domain.labelling.answers import UncountedAnswers
    from octospoon.domain.labelling.removals import Proposal
    from octospoon.domain.labelling.tasks import TaskCounts
    from octospoon.domain.monitoring.drift import Level
    from octospoon.domain.training.backbone_change import BackboneChange, ChangeSummary

SHARDS = 16
_SHOWN = 20
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """The result of the newest test for drift.

    Attributes:
        level: the verdict.
        images: size of the window of uploads.
        judged_until: the last UTC day of the window.
        drifted: number of images that differ most, if drift is confirmed.
        selectable: how many of them can still be chosen for a batch.
    """

    level: Level
    images: int
    judged_until: str
    drifted: int = 0
    selectable: int = 0


@dataclass(frozen=True, slots=True)
class RescoringStatus:
    """The progress of re-scoring the pool with a version.

    Attributes:
        model_version: the version.
        shards: number of shards that are done, of `SHARDS`.
        oldest: first UTC day of the uploads that count; empty for all.
    """

    model_version: int
    shards: int
    oldest: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """The model in service.

    Attributes:
        version: of the model; None before the first.
        drift: of the uploads since that model was trained; None if none was tested.
        rescoring: how far the pool is scored again; None if that never happened.
        reading: how far its images are read again; None if that was never needed.
        backbone_change: the newest change of the backbone; None if there was none.
    """

    version: int | None
    drift: DriftStatus | None
    rescoring: RescoringStatus | None
    reading: ReadingStatus | None
    backbone_change: ChangeSummary | None = None


@dataclass(frozen=True, slots=True)
class TrainingStatus:
    """The newest training job, and how far the next one is.

    Attributes:
        new_labels: labels since the newest job.
        threshold: so many new labels start a job.
        job_id: of the newest job; empty before the first.
        status: of the newest job.
        reason: why the newest job was started.
    """

    new_labels: int
    threshold: int
    job_id: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """The tasks in Label Studio.

    Attributes:
        counts: how many there are; None if Label Studio cannot be asked.
        open_task_days: after so many days an unanswered task is abandoned.
        error: why Label Studio cannot be asked; empty if it can.
    """

    counts: TaskCounts | None
    open_task_days: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class LabellingStatus:
    """The work of the annotators.

    Attributes:
        rounds: number of batches so far.
        tasks: in Label Studio.
        uncounted_answers: answers in Label Studio that do not count.
        removal: labels that may be removed once a person agrees; None if there are none.
    """

    rounds: int
    tasks: TaskStatus
    uncounted_answers: UncountedAnswers
    removal: Proposal | None


@dataclass(frozen=True, slots=True)
class QuarantinedImage:
    """An image that cannot be scored, and why."""

    key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class QuarantineStatus:
    """Images that cannot be scored.

    Attributes:
        examples: some of them.
        more: whether there are others.
    """

    examples: list[QuarantinedImage]
    more: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a deployment. `octospoon status --json` prints it under these names.

    Attributes:
        images: number of images by state, see `State`.
        model: the model in service.
        training: the newest training job.
        labelling: the work of the annotators.
        queues: by name.
        quarantine: images that cannot be scored.
        addresses: for people, and of the images bucket.
    """

    images: dict[str, int]
    model: ModelStatus
    training: TrainingStatus
    labelling: LabellingStatus
    queues: dict[str, QueueStatus]
    quarantine: QuarantineStatus
    addresses: Addresses


def read(deployment: Deployment) -> Status:
    """Read where a deployment stands."""
    counts, state = deployment.pool_report.counts(), deployment.control.state()
    threshold = training_threshold(deployment)
    return Status(
        images={state.value: counts[state] for state in State},
        model=_model(deployment, state.backbone_change, counts[State.SCORED]),
        training=TrainingStatus(state.new_labels, threshold, state.job_id, state.status, state.reason),
        labelling=_labelling(deployment),
        queues=read_queues(deployment),
        quarantine=_quarantine(deployment),
        addresses=addresses_of(deployment),
    )


def training_threshold(deployment: Deployment) -> int:
    """Return how many new labels start a job."""
    usual = int(deployment.outputs["TrainingThreshold"])
    given = deployment.outputs.get("FirstBatchSize")  # a stack of an earlier release has no such output
    if given is None or deployment.rescoring.progress()[0] >= 0:
        return usual
    first = FirstLabels(int(given), deployment.task_type.name)
    return first.training(len(deployment.classes), usual)


def _model(deployment: Deployment, change: BackboneChange | None, selectable: int) -> ModelStatus:
    champion = deployment.champions.pointer()
    version = champion[0].version if champion else None
    return ModelStatus(
        version,
        None if version is None else drift(deployment, version),
        _rescoring(deployment),
        reading_status.read(deployment, selectable),
        change.summary() if change else None,
    )


def _labelling(deployment: Deployment) -> LabellingStatus:
    proposal = deployment.proposals.read()
    return LabellingStatus(
        rounds=deployment.rounds.last_number(),
        tasks=tasks(deployment),
        uncounted_answers=uncounted(deployment),
        removal=proposal if proposal.waits else None,
    )


def _quarantine(deployment: Deployment) -> QuarantineStatus:
    images = [QuarantinedImage(*image) for image in deployment.pool_report.quarantined(_SHOWN + 1)]
    return QuarantineStatus(images[:_SHOWN], len(images) > _SHOWN)


def drift(deployment: Deployment, version: int) -> DriftStatus | None:
    """Return the result of the newest test for drift; None if no upload was tested against this version."""
    observation = deployment.observations.read()
    finding = observation.finding
    if finding is None or observation.version != version:
        return None
    selectable = 0
    if observation.drifted:
        rows = deployment.pool.rows([image.key for image in observation.drifted])
        selectable = len(drift_share.waiting(observation.drifted, rows))
    return DriftStatus(
        finding.level, finding.images, observation.judged_until, len(observation.drifted), selectable
    )


def describe_drift(status: DriftStatus | None) -> str:
    """Return the result of the newest test for drift in words."""
    if status is None:
        return "no day's uploads were tested against this model yet"
    line = f"{status.level} on {status.images} uploads until {status.judged_until}"
    if not status.drifted:
        return line
    return f"{line}; {status.selectable} of the {status.drifted} images that differ most can still be chosen"


def uncounted(deployment: Deployment) -> UncountedAnswers:
    """Return the answers that do not count, with some examples."""
    return deployment.labels.uncounted(_EXAMPLES)


def describe_uncounted(answers: UncountedAnswers) -> str:
    """Return in words how many answers do not count and why, with some examples."""
    if not answers.total:
        return "none"
    examples = ", ".join(
        f"{answer.key} (task {answer.task or 'unknown'}, {answer.problem})"
        for answer in answers.examples[:_EXAMPLES]
    )
    return f"{answers}; such as {examples}"


def tasks(deployment: Deployment) -> TaskStatus:
    """Return how many tasks there are, or why Label Studio cannot be asked."""
    try:
        with open_tasks(deployment) as project:
            return TaskStatus(project.counts(), project.days)
    except OctospoonError as error:
        return TaskStatus(None, 0, str(error))


def _rescoring(deployment: Deployment) -> RescoringStatus | None:
    version, shards = deployment.rescoring.progress()
    return RescoringStatus(version, shards, deployment.rescoring.oldest()) if version >= 0 else None
