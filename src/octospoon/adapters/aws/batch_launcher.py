"""Start training jobs as jobs of AWS Batch, on machines with a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import RetryableError
from octospoon.domain.training.jobs import Fate

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_batch.type_defs import JobSummaryTypeDef

    from octospoon.ports.clock import Clock

LAUNCH_LEASE = 3600.0
"""Seconds within which a job must start: a machine has to be found, to boot, and to pull gigabytes.

The queue cancels a job that finds no machine earlier, see `JobStateTimeLimitActions` in the template.
"""
_OVER = ("SUCCEEDED", "FAILED")
STACK_TAG = "octospoon:stack"
"""The tag of each job, by which the functions of a stack may stop their own jobs and no others."""


@dataclass(frozen=True, slots=True)
class BatchTarget:
    """Where the jobs of a stack run.

    Attributes:
        queue: ARN of the job queue.
        definition: ARN of the job definition, with its revision.
        stack: name of the stack.
    """

    queue: str
    definition: str
    stack: str


class BatchLauncher:
    """Runs the training image as a job of AWS Batch, and knows what became of it.

    SubmitJob has no client token. The job's id is the name of the Batch job instead, and a name that the
    queue has already is not submitted again. Two processes that look at the same moment can still submit the
    same id twice. Then two containers start, and only the one that moves the job from launching to running
    trains; the other ends by itself.

    Implements `octospoon.ports.training.TrainingLauncher` and `octospoon.ports.training.LaunchedJobs`.

    Args:
        client: asks for jobs and stops them.
        once: sends each request once. A SubmitJob that botocore repeats would be a second job.
        target: where the jobs run.
        clock: the time.
    """

    def __init__(self, client: BatchClient, once: BatchClient, target: BatchTarget, clock: Clock) -> None:
        self._client = client
        self._once = once
        self._target = target
        self._clock = clock

    def launch(self, job_id: str) -> None:
        """Submit one job, unless the queue has one of that name.

        Raises:
            ServiceUnavailable: AWS Batch did not answer, and the queue has no such job.
            Refused: AWS Batch never takes the job, for example because the queue does not exist.
        """
        doing = f"submitting {job_id} to AWS Batch"
        with translated(doing):
            if self._has(job_id):
                return
        try:
            with translated(doing):
                self._submit(job_id)
        except RetryableError:
            # the answer may be lost, but not the job
            with translated(doing):
                if self._has(job_id):
                    return
            raise

    def fate(self, job_id: str) -> Fate | None:
        """Return what became of a job; None if the queue does not know it, or no longer.

        Raises:
            ServiceUnavailable: AWS Batch did not answer.
            Refused: the queue may not be read.
        """
        with translated(f"asking AWS Batch for {job_id}"):
            jobs = self._named(job_id)
        if not jobs:
            return None
        waiting = [job for job in jobs if not _is_over(job)]
        return Fate(over=not waiting, text=_described((waiting or jobs)[0]))

    def stop(self, job_id: str) -> None:
        """Stop what is left of a job: one that still waits never starts, and one that runs gets SIGTERM.

        Raises:
            ServiceUnavailable: AWS Batch did not answer.
            Refused: the job may not be stopped.
        """
        with translated(f"stopping {job_id} in AWS Batch"):
            for job in self._named(job_id):
                if not _is_over(job):
                    self._client.terminate_job(jobId=job["jobId"], reason=f"{job_id} is over")

    def _submit(self, job_id: str) -> None:
        self._once.submit_job(
            jobName=job_id,
            jobQueue=self._target.queue,
            jobDefinition=self._target.definition,
            containerOverrides={"command": ["run", "--job-id", job_id]},
            tags={STACK_TAG: self._target.stack},
        )

    def _has(self, job_id: str) -> bool:
        """Whether the queue has the job. The id of a job that ended before the launch lease is free again."""
        recent = (self._clock.now() - LAUNCH_LEASE) * 1000
        return any(not _is_over(job) or job.get("createdAt", 0) >= recent for job in self._named(job_id))

    def _named(self, job_id: str) -> list[JobSummaryTypeDef]:
        """Return the jobs of that name in every state, the newest first."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=self._target.queue, filters=[{"name": "JOB_NAME", "values": [job_id]}]
        )
        return [job for page in pages for job in page["jobSummaryList"]]


def _is_over(job: JobSummaryTypeDef) -> bool:
    return job.get("status") in _OVER


def _described(job: JobSummaryTypeDef) -> str:
    """Return the state and the reasons that AWS Batch gives, for people."""
    container = job.get("container", {})
    code = container.get("exitCode")
    reasons = [
        job.get("statusReason", ""),
        container.get("reason", ""),
        "" if code is None else f"exit code {code}",
    ]
    return "AWS Batch says " + ": ".join(
        [job.get("status", "nothing"), *dict.fromkeys(filter(None, reasons))]
    )
