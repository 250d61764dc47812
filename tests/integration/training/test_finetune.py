from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/finetune/bin/python"
CASES = Path(__file__).with_name("finetune_cases.py")


def test_weights_that_learn() -> None:
    """Run the cases of finetune_cases.py in the environment that has PyTorch."""
    if not PYTHON.exists():
        pytest.skip("FINE-TUNING IS NOT TESTED: `make finetune` installs PyTorch (some GB) and runs this")
    elsewhere.check(PYTHON, elsewhere.BORROWED, CASES, "-s")
