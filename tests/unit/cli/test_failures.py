"""On every failure, people get one sentence and exit status 1."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError

from octospoon.cli import deployment
from octospoon.cli.deployment import Deployment, find_deployment
from octospoon.cli.deployment.outputs import Outputs
from octospoon.cli.failures import sentence
from octospoon.cli.main import main
from octospoon.cli.operations import run_now
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]


def refused(code: str, message: str = "told so", status: int = 400) -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (aws.NoRegionError(), "use --region or AWS_REGION"),
        (aws.NoCredentialsError(), "aws sso login"),
        (aws.UnauthorizedSSOTokenError(), "aws sso login"),
        (aws.TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
        (aws.ProfileNotFound(profile="mine"), "list-profiles"),
        (aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "`octospoon up`"),
        (aws.ReadTimeoutError(endpoint_url="http://127.0.0.1:1"), "`octospoon up`"),
        (refused("ExpiredToken"), "aws sso login"),
        (refused("InvalidClientTokenId"), "aws sso login"),
        (refused("AccessDenied"), "ask for that permission"),
        (refused("403"), "ask for that permission"),
        (refused("ResourceNotFoundException"), "right stack and region"),
        (refused("Strange"), "AWS refused DescribeStacks: told so"),
        (httpx.ConnectError("refused"), "does the server run"),
        (httpx.UnsupportedProtocol("no http"), "this address cannot be called"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "/x/y: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y: permission is denied"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x/y"), "/x/y: there is no such file"),
        (NotConfigured("do that"), "do that"),
    ],
)
def test_an_error_is_one_sentence_that_says_what_to_do(error: Exception, part: str) -> None:
    text = sentence(error)
    assert part in text
    assert "\n" not in text
    assert "Traceback" not in text


def test_an_unreached_service_is_followed_by_what_to_do() -> None:
    error = ServiceUnavailable("reading a secret: no connection")
    error.__cause__ = aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    assert "`octospoon up`" in sentence(error)


def test_what_nobody_thought_of_is_kept_for_developers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    assert sentence(caught.value).startswith("unexpected ZeroDivisionError: division by zero; please report")
    assert "Traceback" in (tmp_path / ".octospoon/logs/octospoon-error.txt").read_text()


@pytest.mark.parametrize(
    ("payload", "part"),
    [
        (
            {"errorType": "ServiceUnavailable", "errorMessage": "Label Studio does not answer"},
            "does not answer",
        ),
        ({"errorType": "KeyError", "errorMessage": "'x'", "stackTrace": ["File"]}, "failed: KeyError: 'x'"),
        ({"errorMessage": "2026-01-01T00:00:00Z 1f Task timed out after 300.00 seconds"}, "within 300 s"),
        ({"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 1 exit"}, "ended without an answer"),
        ({}, "without an answer"),
        ([1], "without a reason"),
        (None, "without an answer"),
    ],
)
def test_a_function_that_failed_is_told_as_a_sentence(payload: object, part: str) -> None:
    text = run_now.failed("rank", b"" if payload is None else json.dumps(payload).encode())
    assert part in text or (payload is None and "without a reason" in text)
    assert "octospoon logs rank" in text
    assert "{" not in text
    assert "stackTrace" not in text


class _Lambda:
    def __init__(self, answer: Mapping[str, object] | Exception) -> None:
        self._answer = answer

    def invoke(self, **_: object) -> Mapping[str, object]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        refused("TooManyRequestsException", status=429),
        {"Payload": io.BytesIO(b'{"errorMessage": "no"}'), "FunctionError": "Unhandled"},
        {"Payload": io.BytesIO(b'{"exported": "odd"}')},
        {"Payload": io.BytesIO(b"<html>")},
    ],
)
def test_every_bad_answer_of_a_function_is_ours(
    answer: Mapping[str, object] | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deployment, "client", lambda *_: _Lambda(answer))
    with pytest.raises(ServiceUnavailable):
        run_now.rank(Deployment({"RankFunctionName": "rank"}, None))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"outputs": 1}'])
def test_a_record_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = tmp_path / "project.json"
    file.write_text(content)
    monkeypatch.setattr(deployment, "PROJECT_FILE", file)
    monkeypatch.delenv("OCTOSPOON_STACK", raising=False)
    assert main(["status"]) == 1
    assert "project.json cannot be read" in capsys.readouterr().err.replace("\n", "")


def test_stack_of_another_name_or_project_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Formation:
        meta = type("Meta", (), {"region_name": "eu-west-1"})
        answer: dict[str, object] | None = None

        def describe_stacks(self, **_: str) -> object:
            if self.answer is None:
                raise refused("ValidationError", "Stack with id mine does not exist")
            return {"Stacks": [self.answer]}

    formation = Formation()
    monkeypatch.setattr(
        deployment, "session", lambda _: type("Session", (), {"client": lambda *_, **__: formation})()
    )
    with pytest.raises(NotConfigured, match=r"no stack mine in eu-west-1.*AWS_PROFILE"):
        find_deployment("mine")
    formation.answer = {"StackStatus": "CREATE_IN_PROGRESS", "Outputs": []}
    with pytest.raises(NotConfigured, match="CREATE_IN_PROGRESS"):
        find_deployment("mine")
    with pytest.raises(NotConfigured, match="no output PoolTable"):
        Outputs()["PoolTable"]


def test_near_commands_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["statsu"]) == 2
    assert "Did you mean 'status'?" in capsys.readouterr().err
    assert main(["logs", "scroe"]) == 2
    assert "Did you mean 'score' or 'rescore'?" in capsys.readouterr().err
