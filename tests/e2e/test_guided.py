"""From nothing to a scored image as the guide says, with LocalStack in the place of AWS: `make guided`."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e import terminal
from e2e.helpers import digit_pictures, scored, upload

from octospoon.cli.datasets import digits
from octospoon.cli.deployment import find_deployment
from octospoon.cli.deployment.session import session
from octospoon.cli.main import main
from octospoon.cli.operations.aws.parameter_file import file_name, read
from octospoon.cli.operations.label_studio_access import new_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(900),
    pytest.mark.skipif("OCTOSPOON_GUIDED" not in os.environ, reason="`make guided` runs it"),
]
ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/how-to/deploy-to-aws.md").read_text(encoding="utf-8")
# so that the clock starts nothing while other tests count
QUIET = ("RankSchedule=rate(1 day)", "RankTriggers=schedule", "ReconcileSchedule=rate(1 day)")


class Person:
    """A person who reads the guide, and whose AWS is LocalStack."""

    def __init__(self, stack: LocalStack, name: str) -> None:
        self.name, self.asked = name, list[str]()
        self.token = stack.servers.credentials.token
        self.label_studio = stack.project.label_studio_url
        self.answers = {
            "Name of the stack": name,
            "Classes": ",".join(digits.CLASSES),
            "Address of Label Studio": self.label_studio,
            "Access token": self.token,
            "Address of MLflow": stack.project.mlflow_url,
            "User in MLflow": "",
            "DagsHub": "",
            "What runs training": "",
            "Deploy this changeset": "y",
        }
        programs = [str(Path(sys.executable).parent), str(ROOT / ".octospoon/envs/sam/bin")]
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": stack.project.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
            "SAM_CLI_TELEMETRY": "0",
            # LocalStack runs functions with this machine's Python, whatever PythonRuntime says
            "PYTHON_VERSION": "{}.{}".format(*sys.version_info[:2]),
            "COLUMNS": "300",
        }
        for variable in ("LABEL_STUDIO_TOKEN", "OCTOSPOON_STACK", "DAGSHUB_USER_TOKEN"):
            self.environment.pop(variable, None)

    def run(self, line: str, **more: str) -> str:
        """Run a line of the guide; return what it shows."""
        line = line.replace("STACK", self.name).replace("https://labels.example.org", self.label_studio)
        began = time.monotonic()
        status, shown, asked = terminal.run(shlex.split(line), self.answers, self.environment | more)
        self.asked += asked
        print(f"\n{time.monotonic() - began:6.1f} s, {len(asked)} questions: {line}")
        assert status == 0, shown[-3000:]
        assert self.token not in shown
        return shown


@pytest.fixture
def person(
    stack: LocalStack, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Person]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.project.endpoint_url)
    found = Person(stack, request.param)
    yield found
    file_name(found.name).unlink(missing_ok=True)


def lines_below(heading: str) -> list[str]:
    """Return the commands of the first block below a heading of the guide."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return section.partition("```\n")[2].partition("```")[0].splitlines()


def score_something(person: Person) -> None:
    deployment = find_deployment(person.name)
    scored(deployment, upload(deployment, digit_pictures("guided/", range(3))))


def quiet(line: str) -> str:
    return " ".join([line, *(f"--set {shlex.quote(each)}" for each in QUIET)])


@pytest.mark.parametrize("person", ["octospoon-guided"], indirect=True)
def test_guided_path_from_empty_account_to_scored_image_and_back(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    began, name = time.monotonic(), person.name
    init, deploy = lines_below("The guided way")
    person.run(quiet(init))
    assert person.token not in file_name(name).read_text()
    deploy = f"{deploy} --stack {name} --backbone scattering"
    person.run(deploy)
    score_something(person)
    print(f"\n{time.monotonic() - began:6.1f} s and {len(person.asked)} questions to scored images")
    assert len(person.asked) == 8
    assert "CREATE_COMPLETE" not in person.run(deploy), "every step can be repeated"

    capsys.readouterr()
    assert main(["aws", "status", "--stack", name, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["status"].endswith("_COMPLETE")
    assert status["changes"] == {}

    # CloudFormation cannot remove a user that has keys
    deployment = find_deployment(name)
    new_key(deployment.client("iam"), deployment.outputs["LabelStudioUser"])
    assert main(["aws", "destroy", "--stack", name, "--yes"]) == 0
    shown = capsys.readouterr().out
    for kept in ("ImagesBucket", "ArtifactsBucket", "PoolTable"):
        assert deployment.outputs[kept] in shown
    # LocalStack knows no DeletionPolicy: tests/unit/deploy/test_first_deploy.py holds what the template keeps
    assert main(["aws", "status", "--stack", name]) == 1
    assert f"there is no stack {name}" in capsys.readouterr().err
    assert file_name(name).is_file()


@pytest.mark.parametrize("person", ["octospoon-fargate"], indirect=True)
def test_init_offers_the_network_of_the_default_vpc(person: Person) -> None:
    person.answers["What runs training"] = "ecs"
    person.answers["Subnets of the training tasks"] = ""
    person.answers["Security groups of the training tasks"] = ""
    person.run(lines_below("The guided way")[0])
    parameters = read(file_name(person.name)).parameters
    ec2 = session(os.environ["AWS_ENDPOINT_URL"]).client("ec2", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    found = ec2.describe_subnets(SubnetIds=parameters["TrainingSubnets"].split(","))["Subnets"]
    (group,) = ec2.describe_security_groups(GroupIds=[parameters["TrainingSecurityGroups"]])["SecurityGroups"]
    assert {each["DefaultForAz"] for each in found} == {True}
    assert {each["VpcId"] for each in found} == {group["VpcId"]}
    assert len(person.asked) == 10


@pytest.mark.parametrize("person", ["octospoon-plain"], indirect=True)
def test_sam_command_line_from_empty_account_to_scored_image(person: Person) -> None:
    began = time.monotonic()
    init, image, *others = lines_below("With the SAM command line")
    person.run(quiet(init))
    assert "needs no training image" in person.run(image)
    for line in others:
        person.run(f"{line} --backbone scattering" if " init-model" in line else line)
    score_something(person)
    print(f"\n{time.monotonic() - began:6.1f} s and {len(person.asked)} questions to scored images")
    assert [question for question in person.asked if "changeset" in question], person.asked
    assert len(person.asked) == 9
    assert main(["aws", "destroy", "--stack", person.name, "--yes"]) == 0
