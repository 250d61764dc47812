from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

ROOT = Path(__file__).parents[1]
pytest_plugins = ["lanes", "workers", "recording"]
# a test must not fail because the machine is busy
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
BATCH = 10
"""Batch size and training threshold of the stack that the tests share."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the tests that can run longer do")
    parser.addoption(
        "--trainer-command", action="store_true", help="programs as trainers, on a stack of its own"
    )
    parser.addoption("--finetune", action="store_true", help="fine-tuning on a stack of its own, for minutes")
    parser.addoption("--detectors", action="store_true", help="detectors of real exporters are imported")
    parser.addoption("--wheel", action="store_true", help="the wheel is tried with its extras too")
    parser.addoption("--compose", action="store_true", help="the loop in the containers of the compose file")
    parser.addoption("--training-image", help="name of a built training image, to run a job in it too")


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """The real LocalStack, Label Studio, MLflow and trainer, with octospoon deployed: one for each worker."""
    from recording import recorded

    from octospoon.cli.datasets import digits
    from octospoon.cli.local.assemble import assemble
    from octospoon.cli.stack import start

    with start(ROOT, progress=print, fresh=True, name="tests") as servers:
        running = assemble(
            servers,
            digits.CLASSES,
            print,
            {
                "BatchSize": str(BATCH),
                "MaxOpenTasks": "1",
                "TrainingThreshold": str(BATCH),
                "RankSchedule": "rate(1 day)",
                "RankTriggers": "schedule",
                "ReconcileSchedule": "rate(1 day)",
                "EventBusName": "default",
            },
        )
        assert recorded().stat().st_size > 0, "LocalStack records no request: run `make prepared`"
        yield running
        running.label_studio.close()


@pytest.fixture(scope="session")
def exporting(stack: LocalStack) -> None:
    """The stack's schedule exports once a minute, from when a test first wants it on.

    Were it on from the deployment, it could fire while a test uploads, and export half a batch.
    """
    deployment = stack.deployment
    function = deployment.client("lambda").get_function(
        FunctionName=stack.project.outputs["RankFunctionName"]
    )
    events = deployment.client("events")
    arn = function["Configuration"]["FunctionArn"]
    (rule,) = events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    targets = events.list_targets_by_rule(Rule=rule)["Targets"]
    events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)", State="ENABLED")
    # LocalStack starts a schedule when it receives the targets
    events.put_targets(Rule=rule, Targets=targets)
