"""The changelog has its format, and agrees with the version."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.changelog import problems, project_version, sections

from octospoon import __version__

ROOT = Path(__file__).parents[3]
CHANGES = "\n### Added\n\n- Something.\n"


def changelog(*headings: str, changes: str = CHANGES) -> str:
    return "# Changelog\n\n" + "".join(f"## {heading}\n{changes}\n" for heading in headings)


def test_the_changelog_agrees_with_the_version():
    history = sections((ROOT / "CHANGELOG.md").read_text("utf-8"))

    assert problems(history, project_version(ROOT)) == []


def test_the_version_stands_in_pyproject_and_package_alike():
    assert project_version(ROOT) == __version__


@pytest.mark.parametrize(
    "headings",
    [
        ["[Unreleased]"],
        ["[0.2.0] - 2030-02-01"],
        ["[0.2.0] - 2030-02-01", "[0.1.0] - 2030-01-01"],
        ["[Unreleased]", "[0.2.0] - 2030-02-01"],
        ["[Unreleased]", "[0.1.0] - 2030-01-01"],
        ["[0.2.0] - 2030-02-01", "[0.2.0rc1] - 2030-02-01"],
    ],
)
def test_a_correct_history_has_no_problems(headings):
    assert problems(sections(changelog(*headings)), "0.2.0") == []


@pytest.mark.parametrize(
    ("headings", "problem"),
    [
        ([], "CHANGELOG.md has no section"),
        (["[0.1.0] - 2030-01-01"], "the newest section is 0.1.0, but the version is 0.2.0"),
        (["[0.3.0] - 2030-01-01"], "the newest section is 0.3.0, but the version is 0.2.0"),
        (["[Unreleased]", "[0.3.0] - 2030-01-01"], "0.3.0 is released, but the version is 0.2.0"),
        (["[0.2.0] - 2030-01-01", "[Unreleased]"], "Unreleased must be the first section"),
        (["[0.2.0] - 2030-01-02", "[0.2.0] - 2030-01-01"], "0.2.0 stands above 0.2.0"),
        (["[0.2.0] - 2030-01-01", "[0.10.0] - 2030-01-01"], "0.2.0 stands above 0.10.0"),
        (["[0.2.0] - 2030-01-01", "[0.1.0] - 2030-01-02"], "0.2.0 is dated before 0.1.0"),
    ],
)
def test_a_wrong_history_is_named(headings, problem):
    assert problems(sections(changelog(*headings)), "0.2.0") == [problem]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("", "0.2.0: has no changes"),
        ("### New\n\n- A.\n", "0.2.0: unknown heading 'New'"),
        ("### Fixed\n\n- A.\n\n### Fixed\n\n- B.\n", "0.2.0: a heading stands twice"),
        ("- A.\n\n### Fixed\n\n- B.\n", "0.2.0: text stands above the first heading"),
    ],
)
def test_wrong_groups_of_changes_are_named(changes, problem):
    assert problems(sections(changelog("[0.2.0] - 2030-01-01", changes=changes)), "0.2.0") == [problem]


@pytest.mark.parametrize(
    "heading",
    [
        "0.2.0",
        "[0.2.0]",
        "[0.2.0] (2030-01-01)",
        "[0.2.0] - 2030-13-01",
        "[Unreleased] - 2030-01-01",
        "[next]",
    ],
)
def test_a_heading_in_another_format_is_refused(heading):
    with pytest.raises(ValueError, match=r"."):
        sections(changelog(heading))
