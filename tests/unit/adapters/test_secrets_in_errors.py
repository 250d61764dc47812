"""Errors of adapters and their tracebacks contain no secret, however malformed the secret is."""

from __future__ import annotations

import logging
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from botocore.config import Config
from botocore.session import Session

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.adapters.s3.signed_gets import SignedGets
from octospoon.domain.errors import OctospoonError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOWHERE = "http://127.0.0.1:9"
MALFORMED = [
    "s3cret{}",
    "s3cret{}\n",
    "s3cret{}\r\n",
    "s3\ncret{}",
    "s3cret{}\x00",
    "\ts3cret{}",
    "s3crét{}",
    "秘密s3cret{}",
    '"s3cret{}"',
    " s3cret{}",
]


@pytest.fixture(name="echo", scope="module")
def _echo() -> Iterator[str]:
    """A server that refuses every request and quotes it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(str(self.headers).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def raised(call: Callable[[], object]) -> str:
    """Return everything a log can contain of the error: text, traceback, and the function's log line."""
    with pytest.raises(OctospoonError) as caught:
        call()
    error = caught.value
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (type(error), error, None))
    return "".join(
        [str(error), *traceback.format_exception(error), LambdaPowertoolsFormatter().format(record)]
    )


def clean(text: str) -> bool:
    return not any(part in text for part in ("s3cret", "s3cr", "cret7", "cret.7", "秘密"))


@pytest.mark.parametrize("secret", MALFORMED)
def test_label_studio(secret: str, echo: str) -> None:
    for url in (NOWHERE, echo) if secret.isascii() else (NOWHERE,):
        for token in (secret.format(7), secret.format(".7.7")):  # a legacy one, and a personal one
            api = LabelStudioApi(url, lambda token=token: token)  # type: ignore[misc]
            assert clean(raised(lambda api=api: api.call("GET", "/api/version")))  # type: ignore[misc]


@pytest.mark.parametrize("secret", MALFORMED)
def test_mlflow(secret: str, echo: str) -> None:
    for url in (NOWHERE, echo):
        api = MlflowApi(url, lambda: ("me", secret.format(7)))
        assert clean(raised(api.version))


@pytest.mark.parametrize(
    "url", ["http://me:s3cret@127.0.0.1:9", "http://me:s3/cret7@host", "http://me:s3cret@h:p"]
)
def test_a_password_in_an_address(url: str) -> None:
    assert clean(raised(lambda: MlflowApi(url, lambda: ("", "")).version()))
    assert clean(raised(lambda: LabelStudioApi(url, lambda: "abc").call("GET", "/api/version")))


@pytest.mark.parametrize("secret", ["s3cret7\n", "s3\ncret7", "s3\r\n cret7"])
def test_the_session_s_token_of_aws(secret: str) -> None:
    session = Session()
    session.set_credentials("AKIA", "key", secret)
    client = session.create_client(
        "s3", "us-east-1", endpoint_url=NOWHERE, config=Config(retries={"total_max_attempts": 1})
    )

    def read() -> None:
        with translated("reading"):
            client.get_object(Bucket="b", Key="k")  # type: ignore[attr-defined]

    text = raised(read)
    assert clean(text)
    assert "ServiceUnavailable: reading: " in text
    assert SignedGets(client, session.get_credentials(), "b")("k", 10) is None


def test_the_reason_of_the_operating_system_is_told() -> None:
    with pytest.raises(ServiceUnavailable, match="does not answer: ConnectError: Connection refused"):
        LabelStudioApi(NOWHERE, lambda: "abc").call("GET", "/api/version")
