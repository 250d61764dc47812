from __future__ import annotations

import json
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
from unit.deploy.test_samconfig import CONFIG, ENVIRONMENTS, PARAMETERS, ROOT

from octospoon.cli.operations.aws.parameter_file import Choices, write

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = ROOT / ".octospoon/envs/sam/bin/python"
SAID = """
import importlib, json
commands = {"build": "build.command", "deploy": "deploy.command", "validate": "validate.validate",
            "local_invoke": "local.invoke.cli", "local_start_api": "local.start_api.cli"}
modules = {name: importlib.import_module(f"samcli.commands.{path}") for name, path in commands.items()}
print(json.dumps({name: [one.name for one in module.cli.params] for name, module in modules.items()}))
"""


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """The options of SAM's commands, as SAM itself has them."""
    if not PYTHON.exists():
        pytest.skip("the SAM command line is not installed here: `make test` and `make check` install it")
    said = subprocess.run([PYTHON, "-c", SAID], capture_output=True, text=True, check=True, cwd=ROOT)
    found = {command: set(names) for command, names in json.loads(said.stdout).items()}
    return found | {"global": set.intersection(found["deploy"], {"stack_name", "region", "profile"})}


OPEN = """
import json
from samcli.commands.deploy.auth_utils import auth_per_resource
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider
stacks, _ = SamLocalStackProvider.get_stacks("template.yaml")
print(json.dumps(auth_per_resource(stacks)))
"""


def test_a_guided_deployment_asks_about_no_route(known: dict[str, set[str]]) -> None:
    assert known
    said = subprocess.run([PYTHON, "-c", OPEN], capture_output=True, text=True, check=True, cwd=ROOT)
    routes = json.loads(said.stdout)
    assert len(routes) == 6
    assert [name for name, asks_nothing in routes if not asks_nothing] == []


GUIDED = """
import json
import click
from click.testing import CliRunner
from samcli.commands._utils.template import get_template_parameters
from samcli.commands.deploy.guided_context import GuidedContext
context = GuidedContext("template.yaml", "octospoon", None, None, None, None)
parameters = get_template_parameters("template.yaml")
found = {}

@click.command()
def ask():
    found.update(context.prompt_parameters(parameters, {}, "", ""))

typed = ["typed" if "Default" not in each else "" for each in parameters.values()]
ended = CliRunner().invoke(ask, input="".join(f"{line}\\n" for line in typed))
print(json.dumps([ended.exit_code, {name: each["Value"] for name, each in found.items()}]))
"""


def test_a_guided_deployment_takes_every_default_by_enter(known: dict[str, set[str]]) -> None:
    assert known
    # SAM repeats a hidden prompt without end until something is typed
    said = subprocess.run(
        [PYTHON, "-c", GUIDED], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    status, values = json.loads(said.stdout)
    assert status == 0
    expected = {name: str(each.get("Default", "typed")) for name, each in PARAMETERS.items()}
    assert {name: str(value) for name, value in values.items()} == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sam_knows_every_key(environment: str, known: dict[str, set[str]]) -> None:
    for command, section in CONFIG[environment].items():
        assert section["parameters"].keys() <= known[command], command


READ = """
import json, sys, tomllib
from samcli.cli.types import CfnParameterOverridesType
default = tomllib.load(open(sys.argv[1], "rb"))["default"]
overrides = default["deploy"]["parameters"]["parameter_overrides"]
print(json.dumps(CfnParameterOverridesType().convert(tuple(overrides), None, None)))
"""


def test_sam_reads_the_parameter_file_as_octospoon_does(tmp_path: Path, known: dict[str, set[str]]) -> None:
    values = {"Classes": 'black cat,"dog",Füchse', "LabelStudioRole": "", "RankSchedule": "rate(1 hour)"}
    path = tmp_path / "samconfig-prod.toml"
    write(Choices("prod", "eu-west-1", values), path)

    found = subprocess.run([PYTHON, "-c", READ, path], capture_output=True, text=True, check=True)

    assert json.loads(found.stdout) == values
    for command, section in tomllib.loads(path.read_text())["default"].items():
        assert section["parameters"].keys() <= known[command], command
