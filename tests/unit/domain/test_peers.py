from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CASES = Path(__file__).with_name("peers_cases.py")
PYTHON = ROOT / ".octospoon/envs/peers/bin/python"


def test_our_choices_against_other_libraries() -> None:
    """The cases of peers_cases.py, in the environment that has the other libraries."""
    if not PYTHON.exists():
        pytest.skip("NOT CHECKED against modAL, scikit-activeml and small-text: `make peers` installs them")
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "-o", "filterwarnings=default", str(CASES)]

    ended = subprocess.run(
        [PYTHON, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout
