"""Run test cases in another environment."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
# pytest comes from this environment, after all packages of the other one
_BORROW = "import site, sys; site.addsitedir(sys.argv[1]); import pytest; sys.exit(pytest.main(sys.argv[2:]))"
BORROWED = ("-c", _BORROW, sysconfig.get_path("purelib"))
OWN = ("-m", "pytest")


def check(python: Path, pytest: tuple[str, ...], cases: Path, *options: str) -> None:
    """Run the cases, and check that some passed and none was skipped.

    Args:
        python: of the other environment.
        pytest: BORROWED or OWN: where it comes from.
        cases: the file.
        options: of pytest.
    """
    given = ["-q", *options, "-p", "no:cacheprovider", "-o", "filterwarnings=default", str(cases)]

    ended = subprocess.run([python, *pytest, *given], cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert "skipped" not in ended.stdout
