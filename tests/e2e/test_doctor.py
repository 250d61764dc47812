"""`octospoon doctor` on the shared stack, healthy and then broken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e.helpers import changed_webhook

from octospoon.adapters.label_studio.setup import ACTIONS
from octospoon.cli.doctor import doctor
from octospoon.cli.main import main
from octospoon.cli.operations.label_studio_access import webhook_secret
from octospoon.cli.operations.predict import predict_secret
from octospoon.cli.operations.queues import QUEUES, depth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def _default_stack(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_deployment", lambda _: stack.deployment)


@pytest.fixture
def deactivated(stack: LocalStack) -> Iterator[None]:
    """Switch the webhook off as a person does, and then on again."""
    fewer = [action for action in ACTIONS if action != "ANNOTATIONS_DELETED"]
    with changed_webhook(stack, is_active=False, actions=fewer):
        yield


def test_running_stack_is_healthy_and_no_secret_is_shown(
    stack: LocalStack, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = stack.deployment.client("sqs")
    for name in QUEUES:  # messages that other tests made fail
        url = stack.project.outputs[f"{name}DeadLettersUrl"]
        if depth(sqs, url)[0]:
            sqs.purge_queue(QueueUrl=url)

    status = main(["doctor", "--json"])
    written = capsys.readouterr()
    findings = {finding["check"]: finding for finding in json.loads(written.out)}

    assert {name: finding["message"] for name, finding in findings.items() if not finding["ok"]} == {}
    assert status == 0
    assert {"labelling interface", "answers", "order of tasks"} <= findings.keys()
    assert findings["AWS"]["message"].startswith("LocalStack 4")
    assert findings["Label Studio"]["message"].startswith("version 1.")
    assert findings["MLflow"]["message"].startswith("version 3.")
    assert findings["event sources"]["message"] == "3 queues are read"
    for secret in (
        webhook_secret(stack.deployment),
        predict_secret(stack.deployment),
        stack.servers.credentials.token,
        stack.servers.credentials.password,
    ):
        assert secret not in written.out + written.err


def test_a_webhook_that_is_switched_off_is_found(
    deactivated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 1

    written = capsys.readouterr()
    assert "checks failed" in written.err
    (line,) = [line for line in written.out.splitlines() if "FAILED" in line and "webhook " in line]
    assert "it is not active; it does not call for ANNOTATIONS_DELETED" in line
    assert "octospoon label-studio-connect" in line
