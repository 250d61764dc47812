from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CASES = Path(__file__).with_name("registry_cases.py")
# pytest comes from this environment, behind everything that the trainer's own has
RUN = "import site, sys; site.addsitedir(sys.argv[1]); import pytest; sys.exit(pytest.main(sys.argv[2:]))"


@pytest.mark.stack
def test_the_registry_against_mlflow_itself() -> None:
    """The cases of registry_cases.py, in the environment that has MLflow."""
    python = ROOT / ".octospoon/envs/mlflow/bin/python"
    options = ["-q", "-p", "no:cacheprovider", "-o", "filterwarnings=default", str(CASES)]

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
