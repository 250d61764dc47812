"""`octospoon predict` with a server that answers as the function does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from octospoon.cli.commands.predict import table
from octospoon.cli.deployment import Deployment
from octospoon.cli.main import main
from octospoon.cli.operations import predict as predict_
from octospoon.cli.operations.predict import predict
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERS: dict[bytes, tuple[int, Any]] = {
    b"dog": (200, {"label": "[dog]", "confidence": 0.8, "model_version": 7}),
    b"bad": (422, {"error": "truncated: cut off", "reason": "truncated"}),
    b"large": (413, {"message": "Request Too Long"}),
    b"cold": (409, {"error": "has no classes yet"}),
    b"none": (503, {"error": "run `octospoon init-model` first"}),
    b"crash": (502, "Internal server error"),
}


@pytest.fixture
def requests() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def deployment(requests: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, answer = ANSWERS[self.rfile.read(int(self.headers["Content-Length"]))]
            requests.append((self.path, self.headers["X-Octospoon-Secret"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(predict_, "predict_secret", lambda _: "s3cret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield Deployment(
        {"PredictApiId": "abc", "PredictApiStage": "v1"}, f"http://127.0.0.1:{server.server_port}"
    )
    server.shutdown()
    server.server_close()


def files(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def test_prediction_or_the_problem_of_the_image_is_shown(
    deployment: Deployment, requests: list[tuple[str, str]], tmp_path: Path
) -> None:
    results = predict(deployment, files(tmp_path, "dog", "bad", "large"), add=True)

    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(table(results))
    for text in ("[dog]", "80.0%", "7", "truncated: cut off", "Request Too Long"):
        assert text in shown.get()
    assert set(requests) == {("/_aws/execute-api/abc/v1/predict?add=true", "s3cret")}


def test_an_image_too_large_for_a_request_is_named(
    deployment: Deployment, requests: list[tuple[str, str]], tmp_path: Path
) -> None:
    large, *_ = files(tmp_path, "huge.jpg", "dog")
    large.write_bytes(bytes(4_500_001))

    first, second = predict(deployment, [large, tmp_path / "dog"])

    assert first.file == large
    assert "it has 4.50 MB, and a request has room for an image of 4.5 MB" in first.error
    assert "octospoon drop" in first.error
    assert second.label == "[dog]"
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("cold", NotConfigured, "no classes"),
        ("none", ServiceUnavailable, "init-model"),
        ("crash", ServiceUnavailable, "502"),
    ],
)
def test_what_is_no_fault_of_the_image_ends_the_command(
    deployment: Deployment, tmp_path: Path, name: str, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        predict(deployment, files(tmp_path, name))


def test_json_holds_an_answer_or_an_error_for_each_file(
    deployment: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)
    dog, bad = map(str, files(tmp_path, "dog", "bad"))

    assert main(["predict", dog, "--json"]) == 0
    answer = {"file": dog, "label": "[dog]", "confidence": 0.8, "model_version": 7, "key": "", "error": ""}
    assert json.loads(capsys.readouterr().out) == [answer]
    assert main(["predict", dog, bad, "--json"]) == 1
    shown = capsys.readouterr()
    assert [result["error"] for result in json.loads(shown.out)] == ["", "truncated: cut off"]
    assert "1 of 2 images have no prediction" in shown.err


def test_a_path_that_is_no_file(deployment: Deployment, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no file"):
        predict(deployment, [tmp_path])


def test_on_aws_the_address_is_the_stacks() -> None:
    outputs = {"PredictUrl": "https://x.execute-api.eu-west-1.amazonaws.com/v1"}
    assert predict_.predict_url(outputs, None) == outputs["PredictUrl"]  # type: ignore[attr-defined]
