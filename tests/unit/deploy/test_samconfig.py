"""samconfig.toml: the SAM command line knows every key, and the template every parameter."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from octospoon.cli.deploy import sam_template

ROOT = Path(__file__).parents[3]
CONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text())
PARAMETERS = sam_template.read(ROOT / "template.yaml")["Parameters"]
ENVIRONMENTS = ["default", "local", "dev", "prod"]


def test_there_is_one_of_each() -> None:
    assert [name for name in CONFIG if name != "version"] == ENVIRONMENTS


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
