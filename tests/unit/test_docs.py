"""What the documents tell people to type exists."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from bench import scaling

from octospoon.cli.main import parser

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")])


def code(document: Path) -> str:
    text = document.read_text("utf-8")
    return "\n".join(re.findall(r"```.*?```", text, re.DOTALL) + re.findall(r"`[^`\n]+`", text))


def commands() -> set[str]:
    (actions,) = [one for one in parser()._actions if isinstance(one, argparse._SubParsersAction)]
    return set(actions.choices)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_and_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?<![\w.@-])make ([a-z]+)\b", code(document))) <= targets
    assert (
        set(re.findall(r"(?<![\w./`-])(?:\.venv/bin/)?octospoon ([a-z][a-z-]+)", code(document)))
        <= commands()
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8")):
        assert target.startswith("https://") or (document.parent / target).exists(), target


def test_what_scaling_takes_is_what_the_simulation_and_the_prices_make_of_it() -> None:
    assert scaling.table() in (ROOT / "docs/scaling.md").read_text("utf-8")
