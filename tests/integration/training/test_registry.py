from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/mlflow/bin/python"
CASES = ["registry_cases.py", "dagshub_cases.py"]


@pytest.mark.stack(own=True)
@pytest.mark.parametrize("cases", CASES)
def test_the_adapters_of_the_trainer_s_own_environment(cases: str) -> None:
    """Run the cases with the real MLflow and DagsHub's client, in the environment that has both."""
    elsewhere.check(PYTHON, elsewhere.BORROWED, Path(__file__).with_name(cases))
