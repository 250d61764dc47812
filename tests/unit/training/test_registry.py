from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CASES = ["registry_cases.py", "dagshub_cases.py"]
# pytest comes from this environment, behind everything that the trainer's own has
RUN = "import site, sys; site.addsitedir(sys.argv[1]); import pytest; sys.exit(pytest.main(sys.argv[2:]))"


@pytest.mark.stack
@pytest.mark.parametrize("cases", CASES)
def test_the_adapters_of_the_trainer_s_own_environment(cases: str) -> None:
    """MLflow itself on SQLite, and DagsHub's client itself, in the environment that has both."""
    python = ROOT / ".octospoon/envs/mlflow/bin/python"
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "filterwarnings=default",
        str(Path(__file__).with_name(cases)),
    ]

    ended = subprocess.run(
        [python, "-c", RUN, sysconfig.get_path("purelib"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout
