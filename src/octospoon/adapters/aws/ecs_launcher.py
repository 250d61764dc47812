"""Start training jobs as tasks of ECS on Fargate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient


@dataclass(frozen=True, slots=True)
class EcsTarget:
    """Where the training task runs; each part is a name or an ARN.

    Attributes:
        capacity: FARGATE, or FARGATE_SPOT for a third of the price. When AWS takes back the machine of a Spot
            task, its job is launched again.
    """

    cluster: str
    task_definition: str
    container: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    capacity: str = "FARGATE"


class EcsLauncher:
    """Runs the training image as a Fargate task. The job's id is the client token, so no job starts twice."""

    def __init__(self, client: ECSClient, target: EcsTarget) -> None:
        self._client = client
        self._target = target

    def launch(self, job_id: str) -> None:
        """Start one task; the same id again returns the task that already runs.

        Raises:
            ServiceUnavailable: ECS has no capacity for it now.
        """
        with translated(f"starting the task of {job_id}"):
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
                        "assignPublicIp": "ENABLED",
                    }
                },
                overrides={
                    "containerOverrides": [
                        {"name": self._target.container, "command": ["run", "--job-id", job_id]}
                    ]
                },
            )
        if failures := answer.get("failures"):
            raise ServiceUnavailable(f"ECS did not start the task of {job_id}: {failures}")
