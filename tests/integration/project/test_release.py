"""The files of a release are built, checked and described according to its tag."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools import release
from tools.changelog import project_version

ROOT = Path(__file__).parents[3]
VERSION = project_version(ROOT)
RELEASED = f"# Changelog\n\n## [{VERSION}] - 2030-01-01\n\n### Added\n\n- Something.\n"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the source distribution, built as `make dist` builds them."""
    folder = tmp_path_factory.mktemp("distributions")
    uv = Path(sys.executable).with_name("uv")
    options = ["--quiet", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([uv, "build", *options, "--out-dir", folder, ROOT], check=True)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, distributions: Path) -> Path:
    """A checkout whose changelog describes a release."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(distributions, tmp_path / "dist")
    (tmp_path / "CHANGELOG.md").write_text(RELEASED)
    return tmp_path


def check(checkout: Path, *arguments: str) -> int:
    return release.main(["--root", str(checkout), *arguments])


def test_a_correct_release_passes_and_gets_its_notes(checkout):
    notes = checkout / "notes.md"

    assert check(checkout, "--tag", f"v{VERSION}", "--notes", str(notes)) == 0
    assert notes.read_text() == "### Added\n\n- Something.\n"


def test_the_distributions_are_correct_before_the_release_too(checkout):
    shutil.copy(ROOT / "CHANGELOG.md", checkout)

    assert check(checkout) == 0


def test_a_tag_of_another_version_is_refused(checkout, capsys):
    assert check(checkout, "--tag", "v9.9.9") == 1
    assert capsys.readouterr().err == f"the tag is v9.9.9, but the version is {VERSION}\n"


def test_a_tag_without_a_dated_section_is_refused(checkout, capsys):
    (checkout / "CHANGELOG.md").write_text(RELEASED.replace(f"[{VERSION}] - 2030-01-01", "[Unreleased]"))

    assert check(checkout, "--tag", f"v{VERSION}", "--notes", str(checkout / "notes.md")) == 1
    assert capsys.readouterr().err == "the changelog's newest section has no version and date\n"
    assert not (checkout / "notes.md").exists()


def test_a_missing_or_additional_distribution_is_refused(checkout, capsys):
    wheel = next((checkout / "dist").glob("*.whl"))
    wheel.rename(wheel.with_name("octospoon-0.0.1-py3-none-any.whl"))

    assert check(checkout) == 1
    assert "octospoon-0.0.1-py3-none-any.whl" in capsys.readouterr().err


def test_distributions_of_another_version_are_refused(checkout, capsys):
    for file in list((checkout / "dist").glob("*")):
        file.rename(file.with_name(file.name.replace(VERSION, "9.9.9")))

    with pytest.raises(KeyError):  # the wheel has no metadata of that version
        release.distribution_problems(checkout / "dist", "9.9.9")
