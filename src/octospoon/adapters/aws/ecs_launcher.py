"""Start training jobs as tasks of ECS on Fargate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import Refused, ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient


_LATER = ("Capacity is unavailable", "reached the limit on the number of")
"""Parts of the messages of a ClientException that later tries do not get (ECS API, RunTask)."""
_NEVER = ("MISSING", "ATTRIBUTE", "LOCATION")
"""Beginnings of the reasons of failures that only a person can mend (ECS, "API failure reasons")."""


@dataclass(frozen=True, slots=True)
class EcsTarget:
    """Where the training task runs; each part is a name or an ARN.

    Attributes:
        capacity: FARGATE, or FARGATE_SPOT for a third of the price. When AWS takes back the machine of a Spot
            task, its job is launched again.
        public_ip: whether the task gets a public address, which it needs in subnets without NAT or endpoints.
    """

    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    capacity: str = "FARGATE"
    public_ip: Literal["ENABLED", "DISABLED"] = "ENABLED"


class EcsLauncher:
    """Runs the training image as a Fargate task. The job's id is the client token, so no job starts twice."""

    def __init__(self, client: ECSClient, target: EcsTarget) -> None:
        self._client = client
        self._target = target

    def launch(self, job_id: str) -> None:
        """Start one task; the same id again returns the task that already runs.

        Raises:
            ServiceUnavailable: ECS has no capacity for it now.
            Refused: it could never start, for example in these subnets.
        """
        doing = f"starting the task of {job_id}"
        try:
            with translated(doing):
                failures = self._run_task(job_id)
        except Refused as error:
            if any(text in str(error) for text in _LATER):
                raise ServiceUnavailable(str(error)) from error
            raise
        if failures:
            never = all(reason.startswith(_NEVER) for reason in failures)
            raise (Refused if never else ServiceUnavailable)(f"{doing}: ECS answers {', '.join(failures)}")

    def _run_task(self, job_id: str) -> list[str]:
        """Run the task; return the reasons why it does not start, if any."""
        answer = self._client.run_task(
            cluster=self._target.cluster,
            taskDefinition=self._target.task_definition,
            capacityProviderStrategy=[{"capacityProvider": self._target.capacity, "weight": 1}],
            clientToken=job_id,
            startedBy=job_id[:128],
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(self._target.subnets),
                    "securityGroups": list(self._target.security_groups),
                    "assignPublicIp": self._target.public_ip,
                }
            },
            overrides={
                "containerOverrides": [
                    {"name": self._target.container, "command": ["run", "--job-id", job_id]}
                ]
            },
        )
        return [failure.get("reason", "no reason") for failure in answer.get("failures", [])]
