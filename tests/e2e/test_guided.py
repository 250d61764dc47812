"""`octospoon aws`: from nothing to a scored image, with LocalStack in the place of AWS; see `make guided`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.helpers import digit_pictures, scored

from octospoon.cli.datasets import digits
from octospoon.cli.deployment import find_deployment
from octospoon.cli.main import main
from octospoon.cli.operations.aws.parameter_file import file_name
from octospoon.cli.operations.label_studio_access import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    pytest.mark.skipif("OCTOSPOON_GUIDED" not in os.environ, reason="`make guided` runs it"),
]
STACK = "octospoon-guided"
PATH = file_name(STACK)
QUIET = ("RankSchedule=rate(1 day)", "RankTriggers=schedule", "ReconcileSchedule=rate(1 day)")


@pytest.fixture
def account(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Environment variables of a person whose AWS is LocalStack; the parameter file goes afterwards."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.project.endpoint_url)
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", stack.servers.credentials.token)
    yield stack.project.label_studio_url
    PATH.unlink(missing_ok=True)


def test_guided_path_from_empty_account_to_scored_image_and_back(
    stack: LocalStack, account: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for each in QUIET for part in ("--set", each)]
    init = [
        *("aws", "init", "--stack", STACK, "--classes", ",".join(digits.CLASSES)),
        *("--label-studio", account, "--mlflow", stack.project.mlflow_url, "--mlflow-user", ""),
    ]
    assert main([*init, *options]) == 0
    assert stack.servers.credentials.token not in PATH.read_text()

    for _ in range(2):  # every step can be repeated
        assert main(["aws", "deploy", "--file", str(PATH), "--backbone", "scattering"]) == 0
        assert "FAILED" not in capsys.readouterr().out

    deployment = find_deployment(STACK)
    pictures = digit_pictures("guided/", range(3))
    for key, body in pictures.items():
        deployment.client("s3").put_object(Bucket=deployment.outputs["ImagesBucket"], Key=key, Body=body)
    scored(deployment, list(pictures))

    assert main(["aws", "status", "--stack", STACK, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["status"].endswith("_COMPLETE")
    assert status["changes"] == {}

    # CloudFormation cannot remove a user that has keys
    new_key(deployment.client("iam"), deployment.outputs["LabelStudioUser"])
    assert main(["aws", "destroy", "--stack", STACK, "--yes"]) == 0
    shown = capsys.readouterr().out
    for kept in ("ImagesBucket", "ArtifactsBucket", "PoolTable"):
        assert deployment.outputs[kept] in shown
    # LocalStack knows no DeletionPolicy: tests/unit/deploy/test_first_deploy.py holds what the template keeps
    assert main(["aws", "status", "--stack", STACK]) == 1
    assert f"there is no stack {STACK}" in capsys.readouterr().err
    assert Path(PATH).is_file()
