"""`octospoon worker` on a machine that knows only the name of the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from octospoon.cli.deployment import find_deployment
from octospoon.cli.deployment.session import CHOICE
from octospoon.cli.local.assemble import STACK_NAME
from octospoon.cli.local.trainer import WORKER, trainer_settings
from octospoon.cli.operations.worker import worker_settings

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack


def test_worker_takes_the_local_workers_settings_from_the_stack(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHOICE, "stack", None)
    for name, value in (stack.servers.aws_environment() | {"AWS_SDK_UA_APP_ID": WORKER}).items():
        monkeypatch.setenv(name, value)

    settings = worker_settings(find_deployment(STACK_NAME))

    assert settings.items() >= trainer_settings(stack.project).items()
    assert settings["MLFLOW_TRACKING_URI"] == stack.project.mlflow_url
