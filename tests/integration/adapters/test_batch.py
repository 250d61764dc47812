from __future__ import annotations

from pathlib import Path

import pytest
from integration import elsewhere

PYTHON = elsewhere.ROOT / ".octospoon/envs/localstack/bin/python"
CASES = Path(__file__).with_name("batch_cases.py")


def test_a_launched_job_runs_once_on_aws_batch() -> None:
    """The cases of batch_cases.py, in the environment that has moto."""
    if not PYTHON.exists():
        pytest.skip("AWS BATCH IS NOT TESTED: `make prepared` installs LocalStack with moto")
    elsewhere.check(PYTHON, elsewhere.BORROWED, CASES)
