"""The region and the sign-in of a command: options, variables, the profile, SAM's configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from typer.main import get_command

from octospoon.cli.deployment import Deployment, LocalProject
from octospoon.cli.deployment.session import CHOICE, Choice, environment, session
from octospoon.cli.doctor import doctor
from octospoon.cli.failures import NO_REGION
from octospoon.cli.local.assemble import LocalStack
from octospoon.cli.main import app, main
from octospoon.domain.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
version = 0.1
[default.global.parameters]
stack_name = "octospoon"
[default.deploy.parameters]
region = "eu-north-1"
[prod.global.parameters]
stack_name = "octospoon-prod"
region = "eu-south-1"
[empty.deploy.parameters]
stack_name = "octospoon-empty"
"""


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide no variables, one profile with a region, one without, and no choice."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text("[profile away]\nregion = ap-south-1\n[profile bare]\n")
    (tmp_path / "samconfig.toml").write_text(CONFIG)
    (tmp_path / "samconfig-broken.toml").write_text("[")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    for name in Choice.__slots__:
        monkeypatch.setattr(CHOICE, name, None)


@pytest.mark.parametrize(
    ("variables", "chosen", "region"),
    [
        ({}, {}, None),
        ({}, {"stack": "octospoon"}, "eu-north-1"),
        ({}, {"stack": "octospoon-prod"}, "eu-south-1"),
        ({}, {"stack": "octospoon-empty"}, None),
        ({}, {"stack": "another"}, None),
        ({}, {"stack": "octospoon", "profile": "away"}, "ap-south-1"),
        ({}, {"stack": "octospoon", "profile": "bare"}, "eu-north-1"),
        ({"AWS_PROFILE": "away"}, {"stack": "octospoon"}, "ap-south-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, {"profile": "away"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-1"}, {}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2"}, {"region": "eu-west-3"}, "eu-west-3"),
    ],
)
def test_the_first_source_that_names_a_region_is_taken(
    variables: dict[str, str],
    chosen: dict[str, str],
    region: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name, value in chosen.items():
        setattr(CHOICE, name, value)
    assert session(None).region_name == region


def test_a_program_of_ours_gets_the_same_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    CHOICE.region, CHOICE.profile = "eu-west-3", "bare"
    given = environment(None)
    assert (given["AWS_REGION"], given["AWS_DEFAULT_REGION"]) == ("eu-west-3", "eu-west-3")
    # boto3 takes keys from the environment before a profile
    assert (given["AWS_PROFILE"], given.get("AWS_ACCESS_KEY_ID")) == ("bare", None)
    CHOICE.profile = None
    assert environment(None)["AWS_ACCESS_KEY_ID"] == "another"
    assert environment("http://127.0.0.1:4566")["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"


def test_every_command_with_a_stack_takes_region_and_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(doctor, "of_stack", lambda name: calls.append((name, CHOICE.region, CHOICE.profile)))
    main(["doctor", "--stack", "prod", "--region", "eu-west-3", "--profile", "away"])
    main(["doctor", "--stack", "prod"])
    assert calls == [("prod", "eu-west-3", "away"), ("prod", None, None)]

    def leaves(node):
        for child in getattr(node, "commands", {}).values():
            yield from leaves(child)
        if not hasattr(node, "commands"):
            yield {parameter.name for parameter in node.params}

    assert all({"region", "profile"} <= names for names in leaves(get_command(app)) if "stack" in names)


def test_a_command_without_a_region_says_where_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--stack", "nowhere"]) == 1
    assert NO_REGION in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "message"), [("ExpiredToken", "sign in again"), ("AccessDenied", "ask for that permission")]
)
def test_doctor_reports_a_refused_sign_in_with_advice(
    code: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(_: str | None) -> None:
        answer = ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeStacks")
        raise Refused("looking for the stack prod") from answer

    monkeypatch.setattr(doctor, "find_deployment", find)
    (result,) = doctor.of_stack("prod")
    assert not result.ok
    assert message in result.message


def test_clients_are_made_once():
    deployment = Deployment({}, "http://127.0.0.1:4566")
    assert deployment.client("s3") is deployment.client("s3")
    assert deployment.client("s3", Config(read_timeout=1)) is not deployment.client("s3")
    stack = LocalStack(
        cast("Any", None), LocalProject("http://127.0.0.1:4566", {}, "", 1, ""), cast("Any", None)
    )
    assert stack.deployment is stack.deployment
