"""Read CHANGELOG.md and hold it to the rules of Keep a Changelog and to the version in pyproject.toml."""

from __future__ import annotations

import datetime
import itertools
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNRELEASED = "Unreleased"
GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
_HEADING = re.compile(r"\[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?")


@dataclass(frozen=True)
class Section:
    """One version in the changelog."""

    name: str
    """A version, or "Unreleased"."""
    date: datetime.date | None
    groups: tuple[str, ...]
    """The third-level headings, in order."""
    text: str
    """Everything below the heading."""

    @property
    def released(self) -> bool:
        """Whether the section describes a release."""
        return self.name != UNRELEASED


def project_version(root: Path) -> str:
    """Return the version from pyproject.toml."""
    version: str = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return version


def sections(changelog: str) -> list[Section]:
    """Return the sections of a changelog, newest first.

    Raises:
        ValueError: A second-level heading is neither "[Unreleased]" nor "[VERSION] - YYYY-MM-DD".
    """
    _, *parts = re.split(r"^## +", changelog, flags=re.MULTILINE)
    return [_section(*part.split("\n", 1)) for part in parts]


def _section(heading: str, text: str = "") -> Section:
    match = _HEADING.fullmatch(heading.strip())
    if match is None or (match["name"] == UNRELEASED) != (match["date"] is None):
        raise ValueError(f"'## {heading}' must be '## [{UNRELEASED}]' or '## [1.2.3] - YYYY-MM-DD'")
    if match["name"] != UNRELEASED:
        Version(match["name"])
    date = datetime.date.fromisoformat(match["date"]) if match["date"] else None
    groups = tuple(re.findall(r"^### +(.+?) *$", text, re.MULTILINE))
    return Section(match["name"], date, groups, text.strip())


def problems(history: Sequence[Section], version: str) -> list[str]:
    """Return what is wrong with a changelog; empty if nothing is.

    Args:
        history: The sections of the changelog, newest first.
        version: The version in pyproject.toml.
    """
    if not history:
        return ["CHANGELOG.md has no section"]
    return [*_version_problems(history, version), *_order_problems(history), *_group_problems(history)]


def _version_problems(history: Sequence[Section], version: str) -> list[str]:
    """Return where the newest sections and the version disagree.

    While changes are unreleased, the version may already be that of the next release.
    """
    newest, *older = history
    if newest.released:
        wrong = newest.name != version
        return [f"the newest section is {newest.name}, but the version is {version}"] if wrong else []
    if older and Version(older[0].name) > Version(version):
        return [f"{older[0].name} is released, but the version is {version}"]
    return []


def _order_problems(history: Sequence[Section]) -> list[str]:
    errors = []
    if not all(section.released for section in history[1:]):
        errors.append(f"{UNRELEASED} must be the first section")
    releases = [section for section in history if section.released]
    for newer, older in itertools.pairwise(releases):
        if Version(newer.name) <= Version(older.name):
            errors.append(f"{newer.name} stands above {older.name}")
        if newer.date and older.date and newer.date < older.date:
            errors.append(f"{newer.name} is dated before {older.name}")
    return errors


def _group_problems(history: Sequence[Section]) -> list[str]:
    errors = []
    for section in history:
        unknown = [group for group in section.groups if group not in GROUPS]
        errors += [f"{section.name}: unknown heading '{group}'" for group in unknown]
        if len(set(section.groups)) < len(section.groups):
            errors.append(f"{section.name}: a heading stands twice")
        if section.text and not section.text.startswith("### "):
            errors.append(f"{section.name}: text stands above the first heading")
        if section.released and not section.groups:
            errors.append(f"{section.name}: has no changes")
    return errors
