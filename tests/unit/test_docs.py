"""What the documents tell people to type exists, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench import new_account, scaling
from tools import reference, sentences

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")])
EVERY_DOCUMENT = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def code(document: Path) -> str:
    text = document.read_text("utf-8")
    return "\n".join(re.findall(r"```.*?```", text, re.DOTALL) + re.findall(r"`[^`\n]+`", text))


def commands() -> set[str]:
    return {command.name.split()[1] for command in reference.commands()}


@EVERY_DOCUMENT
def test_every_command_and_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?<![\w.@-])make ([a-z]+(?:-[a-z0-9]+)*)", code(document))) <= targets
    assert (
        set(re.findall(r"(?<![\w./`-])(?:\.venv/bin/)?octospoon ([a-z][a-z-]+)", code(document)))
        <= commands()
    )


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as Python-Markdown makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", heading)).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", heading) for heading in plain}


@EVERY_DOCUMENT
def test_every_link_leads_somewhere(document: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]*))?\)", document.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        path = document.parent / target if target else document
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


FOLDERS = {"src", "functions", "tests", "bench", "infra", "docs", "tools"}
LAYERS = {path.name for path in (ROOT / "src/octospoon").iterdir() if path.is_dir()}


EXAMPLES = ("NAME", "power_entropy")
"""Stands for a file that a reader is to write."""


@EVERY_DOCUMENT
def test_every_file_of_ours_that_is_named_exists(document: Path) -> None:
    for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)+)`", document.read_text("utf-8")):
        first = name.split("/")[0]
        if first in FOLDERS:
            assert (ROOT / name).exists() or any(example in name for example in EXAMPLES), name
        elif first in LAYERS:
            assert (ROOT / "src/octospoon" / name).exists(), name


def test_scaling_table_matches_the_simulation_and_prices() -> None:
    assert scaling.table() in (ROOT / "docs/explanation/scaling.md").read_text("utf-8")


def test_table_of_a_new_account_matches_the_simulation() -> None:
    assert new_account.table() in (ROOT / "docs/explanation/scaling.md").read_text("utf-8")


@pytest.mark.parametrize(
    "document", sentences.documents(), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_few_sentences_of_a_document_are_long(document: Path) -> None:
    assert sentences.lengths(document.read_text("utf-8")).p95 <= 30


def test_half_of_all_sentences_have_at_most_fourteen_words() -> None:
    everything = sentences.Lengths(
        [
            words
            for document in sentences.documents()
            for words in sentences.lengths(document.read_text()).words
        ]
    )

    assert len(everything.words) > 500
    assert everything.median <= 14
    assert everything.p95 <= 30


def test_sentences_are_measured_as_the_script_says() -> None:
    text = (
        "# A heading counts for nothing\n\n"
        "Run `octospoon status --json` now. It shows\n[three words](a/link.md) more.\n\n"
        "- an item without an end\n- another one\n\n"
        "| a table | counts for nothing |\n|---|---|\n\n```\nnor does code\n```\n"
    )

    assert sentences.lengths(text).words == [3, 5, 5, 2]
