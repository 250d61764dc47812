"""The threshold of an alarm, given by a parameter of the template.

A parameter is text, which AWS turns into the number that the property wants. LocalStack hands it on as text,
and CloudWatch's client refuses it: the deployment of a stack with `AccuracyFloor` would fail.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from localstack.runtime import hooks

if TYPE_CHECKING:
    from collections.abc import Callable

    Create = Callable[[Any, Any], Any]


@hooks.on_infra_start()
def take_text() -> None:
    """Let CloudFormation create alarms whose threshold is text."""
    from localstack.services.cloudwatch.resource_providers.aws_cloudwatch_alarm import (
        CloudWatchAlarmProvider,
    )

    CloudWatchAlarmProvider.create = _with_number(CloudWatchAlarmProvider.create)


def _with_number(original: Create) -> Create:
    @functools.wraps(original)
    def create(self: Any, request: Any) -> Any:  # noqa: ANN401 - LocalStack's types are not ours
        wanted = request.desired_state
        if "Threshold" in wanted:
            wanted["Threshold"] = float(wanted["Threshold"])
        return original(self, request)

    return create
