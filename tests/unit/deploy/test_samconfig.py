"""samconfig.toml: the SAM command line knows every key, and the template every parameter."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from octospoon.cli.deploy import sam_template

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".octospoon/envs/sam/bin/python"
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
PARAMETERS = sam_template.read(ROOT / "template.yaml")["Parameters"]
ENVIRONMENTS = ["default", "local", "dev", "prod"]
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


def test_there_is_one_of_each() -> None:
    assert [name for name in CONFIG if name != "version"] == ENVIRONMENTS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_sam_knows_every_key(environment: str, known: dict[str, set[str]]) -> None:
    for command, section in CONFIG[environment].items():
        assert section["parameters"].keys() <= known[command], command


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_template_takes_the_parameters(environment: str) -> None:
    for pair in CONFIG[environment]["deploy"]["parameters"]["parameter_overrides"]:
        name, value = pair.split("=", 1)
        sam_template.check_value(name, PARAMETERS[name], value)


def test_no_two_environments_share_a_stack() -> None:
    names = [CONFIG[name]["global"]["parameters"]["stack_name"] for name in ("default", "dev", "prod")]
    assert len(set(names)) == 3


def test_nothing_changes_in_production_without_a_yes() -> None:
    assert CONFIG["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
