"""The Lambda Runtime API (2018-06-01) for exactly one execution environment.

Nothing of LocalStack is imported: this module knows the published Runtime API only.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime"
ACCEPTED = b'{"status":"OK"}'
UNKNOWN_REQUEST = b'{"errorType":"InvalidRequestID"}'


@dataclass
class Invocation:
    """One event on its way through the runtime.

    Attributes:
        done: set when the answer is there.
        body: the answer, or the error document.
        is_error: whether `body` is an error document.
    """

    request_id: str
    payload: bytes
    arn: str
    trace_id: str
    deadline_ms: int
    done: threading.Event = field(default_factory=threading.Event)
    body: bytes = b""
    is_error: bool = False

    def finish(self, body: bytes, *, is_error: bool) -> None:
        """Record the answer, unless there is one already, and wake whoever waits for it."""
        if not self.done.is_set():
            self.body, self.is_error = body, is_error
            self.done.set()

    def headers(self) -> dict[str, str]:
        """Return the headers that go with the event."""
        return {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
        }


class RuntimeApi:
    """The HTTP server that one runtime process talks to, and the mailbox behind it.

    Attributes:
        address: `host:port`, for AWS_LAMBDA_RUNTIME_API.
        ready: set when the runtime asked for its first event, or reported that its start failed.
        init_error: the error document of a failed start.
        current: the newest invocation.
    """

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.init_error: bytes | None = None
        self.current: Invocation | None = None
        self._changed = threading.Condition()
        self._generation = (
            0  # one for each runtime process: the long poll of a dead process must not take an event
        )
        self._pending: Invocation | None = None
        self._stopping = False
        self._server = _Server(self)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def submit(self, request_id: str, payload: bytes, arn: str, trace_id: str, timeout: float) -> Invocation:
        """Hand an event to the runtime; the answer arrives in the returned invocation."""
        invocation = Invocation(request_id, payload, arn, trace_id, int((time.time() + timeout) * 1000))
        with self._changed:
            self.current = self._pending = invocation
            self._changed.notify_all()
        return invocation

    def next_event(self) -> Invocation | None:
        """Block until there is an event; return None if another process has replaced the caller."""
        with self._changed:
            mine = self._generation
            self.ready.set()
            self._changed.wait_for(lambda: self._pending or self._stopping or self._generation != mine)
            if self._stopping or self._generation != mine:
                return None
            invocation, self._pending = self._pending, None
            return invocation

    def fail_init(self, body: bytes) -> None:
        """Record that the runtime could not start."""
        self.init_error = body
        self.ready.set()

    def reset(self) -> None:
        """Forget a dead runtime, so that a new one can be started against this API."""
        with self._changed:
            self._generation += 1
            self._pending, self.current, self.init_error = None, None, None
            self.ready.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Release all waiting calls and stop serving."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        self.api = api
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: a killed runtime drops its connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one segment avoid a delayed ACK of 40 ms
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
        """Keep requests out of LocalStack's log."""

    def do_GET(self) -> None:
        """Answer the long poll for the next event."""
        if self.path != f"{PREFIX}/invocation/next":
            self._send(404)
        elif invocation := self.server.api.next_event():
            self._send(200, invocation.payload, invocation.headers())
        else:
            self.close_connection = True

    def do_POST(self) -> None:
        """Take an answer, or the report of an error."""
        api, body = self.server.api, self._body()
        if self.path == f"{PREFIX}/init/error":
            api.fail_init(body)
            self._send(202, ACCEPTED)
            return
        request_id, _, what = self.path.removeprefix(f"{PREFIX}/invocation/").partition("/")
        invocation = api.current
        if invocation is None or request_id != invocation.request_id or what not in {"response", "error"}:
            self._send(400, UNKNOWN_REQUEST)
            return
        self._send(202, ACCEPTED)
        invocation.finish(body, is_error=what == "error")

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> list[bytes]:
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers: AWS's client sends the type of a streaming error there
        return chunks


def error_body(error_type: str, message: str) -> bytes:
    """Return an error document as Lambda writes it."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()
