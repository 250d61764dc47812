"""Commands in separate processes: on every failure, people get a sentence and exit status 1."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.deployment import LocalProject

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does who is not signed in."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from octospoon.cli.main import main; sys.exit(main())",
            *arguments,
        ],
        cwd=folder,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Keep a port bound without listening, so connections are refused and no other process can take it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["rank"],
        ["drop", "."],
        ["trace", "x"],
        ["logs", "score"],
        ["report"],
        ["doctor"],
        ["dlq", "list"],
        ["predict", "picture.png"],
        ["model", "rollback"],
        ["rescore"],
    ],
    ids=" ".join,
)
def test_a_stack_that_crashed_is_told_as_a_sentence(
    tmp_path: Path, arguments: list[str], unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    outputs = {
        **dict.fromkeys(("ImagesBucket", "ArtifactsBucket", "PoolTable", "ControlTable"), "name-of-it"),
        **dict.fromkeys(("RankFunctionName", "ScoreFunctionName", "ReconcileFunctionName"), "name"),
        "AnnotationsTable": "name",
        "PredictSecretArn": "arn",
        "PredictApiId": "a",
        "PredictApiStage": "v1",
    }
    project = LocalProject(url, outputs, url, 1, url)
    file = tmp_path / ".octospoon/run/project.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({name: getattr(project, name) for name in project.__struct_fields__}))
    (tmp_path / "picture.png").write_bytes(b"x")
    process = run(tmp_path, *arguments, AWS_MAX_ATTEMPTS="1")
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "octospoon: " in process.stderr
    assert "unexpected" not in process.stderr


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "use --region or AWS_REGION"),
        ({"AWS_REGION": "eu-west-1"}, "aws sso login"),
        ({"AWS_PROFILE": "nobody"}, "list-profiles"),
    ],
)
def test_whoever_is_not_signed_in_is_told(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    process = run(tmp_path, "status", "--stack", "mine", **variables)
    assert (process.returncode, "Traceback" in process.stderr) == (1, False)
    assert message in process.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = f'{sys.executable} -c \'from octospoon.cli.main import main; main(["up", "--help"])\' | head -1'
    process = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.stderr == ""
