"""The rules of CONTRIBUTING.md for the tests themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
FILES = sorted(path for path in TESTS.rglob("*.py") if path != Path(__file__))
SERVERS = re.compile(
    r"\bmark\.(stack|docker|packaging)\b|cli\.stack import .*\bstart\b|local\.assemble import assemble"
)


def each_file(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", files, ids=lambda file: file.relative_to(TESTS).as_posix())


@each_file(FILES)
def test_test_names_have_at_most_ten_words(file: Path) -> None:
    names = re.findall(r"def test_(\w+)", file.read_text("utf-8"))

    assert not [name for name in names if len(name.split("_")) > 10]


@each_file([file for file in FILES if file.is_relative_to(TESTS / "unit")])
def test_unit_tests_start_no_server(file: Path) -> None:
    assert not SERVERS.search(file.read_text("utf-8"))
