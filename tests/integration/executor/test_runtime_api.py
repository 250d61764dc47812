"""The Runtime API, with a client that behaves as a runtime; without LocalStack."""

from __future__ import annotations

import http.client
import json
import threading
import time

import pytest
from localstack_process_executor.runtime_api import PREFIX, RuntimeApi, error_body


@pytest.fixture
def api():
    served = RuntimeApi()
    yield served
    served.close()


class Runtime:
    """The protocol of awslambdaric in four lines."""

    def __init__(self, api: RuntimeApi) -> None:
        self.connection = http.client.HTTPConnection(api.address, timeout=10)

    def next(self):
        self.connection.request("GET", f"{PREFIX}/invocation/next")
        response = self.connection.getresponse()
        return response.headers, response.read()

    def post(self, path: str, body: bytes, **extra) -> int:
        self.connection.request("POST", f"{PREFIX}/{path}", body, **extra)
        response = self.connection.getresponse()
        response.read()
        return response.status


@pytest.fixture
def runtime(api):
    client = Runtime(api)
    yield client
    client.connection.close()


def submit(api: RuntimeApi, request_id: str = "r1", payload: bytes = b'{"n": 1}'):
    return api.submit(request_id, payload, "arn:function", "Root=1", timeout=3)


def test_event_goes_to_the_runtime_and_its_answer_returns(api, runtime):
    before = time.time()
    invocation = submit(api)
    headers, body = runtime.next()
    assert body == b'{"n": 1}'
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "r1"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:function"
    assert headers["Lambda-Runtime-Trace-Id"] == "Root=1"
    assert 2000 < int(headers["Lambda-Runtime-Deadline-Ms"]) - before * 1000 < 4000
    assert runtime.post("invocation/r1/response", b"42") == 202
    assert invocation.done.wait(5)
    assert (invocation.body, invocation.is_error) == (b"42", False)


def test_the_runtime_waits_for_an_event(api, runtime):
    timer = threading.Timer(0.2, submit, [api])
    timer.start()
    assert runtime.next()[1] == b'{"n": 1}'
    timer.join()


def test_the_first_poll_says_that_the_runtime_is_ready(api, runtime):
    assert not api.ready.is_set()
    submit(api)
    runtime.next()
    assert api.ready.is_set()


def test_an_error_is_told_from_an_answer(api, runtime):
    invocation = submit(api)
    runtime.next()
    assert runtime.post("invocation/r1/error", error_body("ValueError", "no")) == 202
    assert invocation.done.wait(5)
    assert invocation.is_error
    assert json.loads(invocation.body) == {"errorType": "ValueError", "errorMessage": "no"}


def test_a_streamed_answer_is_put_together(api, runtime):
    invocation = submit(api)
    runtime.next()
    assert runtime.post("invocation/r1/response", iter([b"one ", b"two"]), encode_chunked=True) == 202
    assert invocation.done.wait(5)
    assert invocation.body == b"one two"


def test_trailers_are_read_and_the_connection_goes_on(api, runtime):
    invocation = submit(api)
    runtime.next()
    head = (
        f"POST {PREFIX}/invocation/r1/response HTTP/1.1\r\nHost: x\r\n"
        "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n"
    )
    runtime.connection.send(head.encode() + b"3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: E\r\n\r\n")
    response = http.client.HTTPResponse(runtime.connection.sock, method="POST")
    response.begin()
    response.read()
    assert invocation.done.wait(5)
    assert invocation.body == b"abc"
    submit(api, "r2", b"again")
    assert runtime.next()[1] == b"again"


@pytest.mark.parametrize("path", ["invocation/other/response", "invocation/r1/nothing", "invocation/r1"])
def test_an_answer_to_nothing_is_refused(api, runtime, path):
    invocation = submit(api)
    runtime.next()
    assert runtime.post(path, b"42") == 400
    assert not invocation.done.is_set()


def test_the_first_answer_counts(api):
    invocation = submit(api)
    invocation.finish(b"timed out", is_error=True)
    invocation.finish(b"too late", is_error=False)
    assert (invocation.body, invocation.is_error) == (b"timed out", True)


def test_a_failed_start_is_reported(api, runtime):
    assert runtime.post("init/error", b'{"errorType": "ImportError"}') == 202
    assert api.ready.is_set()
    assert api.init_error == b'{"errorType": "ImportError"}'


def test_unknown_paths_are_not_found(runtime):
    runtime.connection.request("GET", "/2018-06-01/else")
    assert runtime.connection.getresponse().status == 404


def test_the_poll_of_a_dead_runtime_takes_no_event(api):
    dead, alive = Runtime(api), Runtime(api)
    failed: list[Exception] = []

    def poll() -> None:
        try:
            dead.next()
        except http.client.HTTPException as error:
            failed.append(error)

    polling = threading.Thread(target=poll)
    polling.start()
    assert api.ready.wait(5)
    api.reset()
    assert not api.ready.is_set()
    submit(api)
    assert alive.next()[1] == b'{"n": 1}'
    polling.join(5)
    assert len(failed) == 1
    dead.connection.close()
    alive.connection.close()


def test_closing_releases_the_poll():
    api = RuntimeApi()
    runtime = Runtime(api)
    timer = threading.Timer(0.2, api.close)
    timer.start()
    with pytest.raises(http.client.RemoteDisconnected):
        runtime.next()
    timer.join()
    runtime.connection.close()
