"""Reads where a deployment stands: images, model, labels, tasks, queues and quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.cli.operations.labelling_tasks import open_tasks
from octospoon.cli.operations.queues import QUEUES, depth
from octospoon.domain.batch import drift_share
from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.answers import UncountedAnswers
    from octospoon.domain.labelling.removals import Proposal
    from octospoon.domain.labelling.tasks import TaskCounts
    from octospoon.domain.monitoring.drift import Level

SHARDS = 16
_SHOWN = 20
_EXAMPLES = 3
_LETTER = 120


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
    """How far the pool is scored by a version.

    Attributes:
        model_version: the version.
        shards: number of shards that are done, of `SHARDS`.
        oldest: first UTC day of the uploads that count; empty for all.
    """

    model_version: int
    shards: int
    oldest: str


@dataclass(frozen=True, slots=True)
class TrainingJobStatus:
    """The newest training job; `job_id` is empty before the first."""

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
class QueueStatus:
    """The messages of one queue.

    Attributes:
        queue: its name.
        waiting: messages that wait.
        in_work: messages that a function works on.
        dead_letters: messages that failed for good.
        examples: the beginnings of some dead letters.
    """

    queue: str
    waiting: int
    in_work: int
    dead_letters: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class QuarantinedImage:
    """An image that cannot be scored, and why."""

    key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where a deployment stands.

    Attributes:
        images: number of images by state.
        champion_version: version of the model in service; None before the first.
        drift: of the uploads since that model was trained; None if none was tested.
        rescoring: how far the pool is scored again; None if that never happened.
        labelling_rounds: number of batches so far.
        new_labels: labels since the last training job.
        training_threshold: so many new labels start a training job.
        removal: labels that may be removed once a person agrees; None if there are none.
        uncounted_answers: answers in Label Studio that do not count.
        training_job: the newest training job.
        tasks: in Label Studio.
        queues: of the deployment.
        quarantine: some images that cannot be scored.
        more_in_quarantine: whether there are others.
    """

    images: dict[str, int]
    champion_version: int | None
    drift: DriftStatus | None
    rescoring: RescoringStatus | None
    labelling_rounds: int
    new_labels: int
    training_threshold: int
    removal: Proposal | None
    uncounted_answers: UncountedAnswers
    training_job: TrainingJobStatus
    tasks: TaskStatus
    queues: list[QueueStatus]
    quarantine: list[QuarantinedImage]
    more_in_quarantine: bool


def read(deployment: Deployment) -> Status:
    """Read where a deployment stands."""
    counts, champion = deployment.pool_report.counts(), deployment.champions.pointer()
    state, proposal = deployment.control.state(), deployment.proposals.read()
    quarantined = [QuarantinedImage(*image) for image in deployment.pool_report.quarantined(_SHOWN + 1)]
    return Status(
        images={each.value: counts[each] for each in State},
        champion_version=champion[0].version if champion else None,
        drift=drift(deployment, champion[0].version if champion else -1),
        rescoring=_rescoring(deployment),
        labelling_rounds=deployment.rounds.last_number(),
        new_labels=state.new_labels,
        training_threshold=int(deployment.outputs["TrainingThreshold"]),
        removal=proposal if proposal.waits else None,
        uncounted_answers=uncounted(deployment),
        training_job=TrainingJobStatus(state.job_id, state.status, state.reason),
        tasks=tasks(deployment),
        queues=_queues(deployment),
        quarantine=quarantined[:_SHOWN],
        more_in_quarantine=len(quarantined) > _SHOWN,
    )


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


def _queues(deployment: Deployment) -> list[QueueStatus]:
    sqs, queues = deployment.client("sqs"), []
    for name in QUEUES:
        waiting, in_work = depth(sqs, deployment.outputs[f"{name}QueueUrl"])
        url = deployment.outputs[f"{name}DeadLettersUrl"]
        dead_letters, _ = depth(sqs, url)
        examples = _peek(sqs, url) if dead_letters else []
        queues.append(QueueStatus(name.lower(), waiting, in_work, dead_letters, examples))
    return queues


def _peek(sqs: SQSClient, url: str) -> list[str]:
    """Return the beginnings of some dead letters, without taking them away."""
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"][:_LETTER] for message in answer.get("Messages", [])]
