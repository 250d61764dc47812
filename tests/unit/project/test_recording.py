"""A run of the tests fails when one of them made an invalid request to AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from octospoon.cli.stack.services import RECORD_REQUESTS

TESTS = Path(__file__).parents[2]
MADE = {"caller": "operator", "service": "sqs", "operation": "SendMessage"}
PROBLEM = "MessageBody: unknown parameter"


@pytest.mark.parametrize(
    ("problems", "status"),
    [
        ([], pytest.ExitCode.OK),
        ([PROBLEM], pytest.ExitCode.TESTS_FAILED),
    ],
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_invalid_request_fails_the_run(tmp_path: Path, problems, status, workers):
    record = tmp_path / "requests.jsonl"
    line = json.dumps(MADE | {"problems": problems})
    policies = json.dumps({"policies_of": "role/r", "policies": {}})
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["recording"]\n')
    (tmp_path / "test_it.py").write_text(
        "import pathlib, recording\n"
        f"def test_it(): recording.recorded().write_text({policies + chr(10) + line + chr(10)!r})\n"
    )
    places = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", workers, tmp_path],
        env=os.environ | {RECORD_REQUESTS: str(record), "PYTHONPATH": places},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == status, ran.stdout + ran.stderr
    assert ("sqs.SendMessage by operator: " + PROBLEM in ran.stdout) is bool(problems)
