from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/finetune/bin/python"
CASES = Path(__file__).with_name("detector_cases.py")


def test_detector_learns_and_keeps_the_contract() -> None:
    """Run the cases of detector_cases.py in the environment that has PyTorch and torchvision."""
    if not PYTHON.exists():
        pytest.skip("DETECTORS ARE NOT TRAINED: `make finetune` installs PyTorch (some GB) and runs this")
    elsewhere.check(PYTHON, elsewhere.BORROWED, CASES, "-s")
