"""The reference names and explains everything that a user can set or see."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tools import reference

from octospoon.cli import deploy_template

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TEMPLATE = deploy_template.read(ROOT / "template.yaml")
PARTS = reference.parts()


@pytest.mark.parametrize("command", reference.commands(), ids=lambda command: command.name)
def test_every_command_and_argument_is_explained(command):
    assert command.help
    unexplained = [each.names for each in command.arguments if not each.help]
    assert not [names for names in unexplained if names not in SELF_EXPLAINED.get(command.name, ())]
    section = PARTS["command-line"].split(f"## {command.name}\n", 1)[1].split("\n## ")[0]
    for each in command.arguments:
        assert f"`{each.names}`".replace("|", "\\|") in section


SELF_EXPLAINED = {
    "octospoon drop": ["DIR|FILE"],
    "octospoon predict": ["FILE"],
    "octospoon picture": ["FILE"],
    "octospoon dlq": ["list|redrive"],
    "octospoon logs": ["score|rank|webhook|collect|reconcile|rescore|watch|predict"],
    "octospoon label-studio-project": ["--title TITLE"],
}
"""Arguments whose name says what they are."""


def test_every_parameter_stands_in_the_reference_once():
    rows = re.findall(r"^\| <span id=\"(\w+)\"", PARTS["template-parameters"], re.MULTILINE)

    assert sorted(rows) == sorted(TEMPLATE["Parameters"])


@pytest.mark.parametrize("part", ["Parameters", "Outputs"])
def test_everything_that_the_template_declares_has_a_description(part):
    assert all(each.get("Description") for each in TEMPLATE[part].values())


def test_every_output_and_alarm_stands_in_the_reference():
    alarms = [name for name, each in TEMPLATE["Resources"].items() if each["Type"].endswith("::Alarm")]

    assert re.findall(r"^\| `(\w+)`", PARTS["template-outputs"], re.MULTILINE) == list(TEMPLATE["Outputs"])
    assert re.findall(r"^\| `(\w+)`", PARTS["alarms"], re.MULTILINE) == alarms


def test_every_generated_part_has_its_page_and_every_page_its_part():
    wanted = [
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"^<!-- generated: ([a-z-]+) -->$", page.read_text("utf-8"), re.MULTILINE)
    ]

    assert sorted(wanted) == sorted(PARTS)


def test_every_page_can_be_reached_from_the_navigation():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for each in (entry.values() if isinstance(entry, dict) else entry) for page in pages(each)
        ]

    assert sorted(pages(nav)) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
