from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

CASES = Path(__file__).with_name("peers_cases.py")
PYTHON = elsewhere.ROOT / ".octospoon/envs/peers/bin/python"


def test_our_choices_against_other_libraries() -> None:
    """Run the cases of peers_cases.py in the environment that has the other libraries."""
    if not PYTHON.exists():
        pytest.skip("NOT CHECKED against modAL, scikit-activeml and small-text: `make peers` installs them")
    elsewhere.check(PYTHON, elsewhere.OWN, CASES, "--noconftest")
