from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/finetune/bin/python"
CASES = ("detector_cases.py", "box_simulation_cases.py")


@pytest.mark.parametrize("cases", CASES)
def test_detectors_learn_and_keep_the_contract(cases: str) -> None:
    """Run the cases in the environment that has PyTorch and torchvision."""
    if not PYTHON.exists():
        pytest.skip("DETECTORS ARE NOT TRAINED: `make finetune` installs PyTorch (some GB) and runs this")
    elsewhere.check(PYTHON, elsewhere.BORROWED, Path(__file__).with_name(cases), "-s")
