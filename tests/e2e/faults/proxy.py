"""A reverse proxy that makes one chosen request fail as networks and servers do."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
LATE = 3.0


class Fault(StrEnum):
    """The fault of the chosen request."""

    KILLED_BEFORE = "the process is killed before the request arrives"
    KILLED_AFTER = "the process is killed when the request has been carried out"
    GATEWAY_TIMEOUT = "504 after the request has been carried out"
    DROPPED_AFTER = "the connection is dropped when the request has been carried out"
    DROPPED_BEFORE = "the connection is dropped before the request arrives"
    LATE = "the answer comes after the time-out"


@dataclass
class Schedule:
    """Counts the requests of one invocation over all proxies, and defines which fails, and how."""

    at: int = 0
    fault: Fault | None = None
    kill: Callable[[], None] = lambda: None
    requests: list[str] = field(default_factory=list)
    injected: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, fault: Fault | None, at: int = 0) -> None:
        with self.lock:
            self.fault, self.at, self.requests = fault, at, []

    def next(self, request: str) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            if self.fault is None or len(self.requests) != self.at:
                return None
            self.injected += 1
            return self.fault


class Proxy:
    """A proxy of one server; `url` is its address."""

    def __init__(self, name: str, target: str, schedule: Schedule) -> None:
        handler = type("Handler", (_Handler,), {"proxy": name, "target": target, "schedule": schedule})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # headers and body are two writes, and Nagle's algorithm would hold the second for 40 ms
    disable_nagle_algorithm = True
    proxy: str
    target: str
    schedule: Schedule

    def log_message(self, *_: object) -> None:
        pass

    def pass_on(self) -> None:
        body = self._body()
        aim = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        fault = self.schedule.next(f"{self.proxy} {self.command} {aim or self.path.split('?')[0]}")
        if fault is Fault.KILLED_BEFORE:
            self.schedule.kill()
        if fault in (Fault.KILLED_BEFORE, Fault.DROPPED_BEFORE):
            self._drop()
            return
        answer = forward(self.target, self.command, self.path, self.headers, body)
        if fault is Fault.KILLED_AFTER:
            self.schedule.kill()
        if fault in (Fault.KILLED_AFTER, Fault.DROPPED_AFTER):
            self._drop()
            return
        if fault is Fault.LATE:
            time.sleep(LATE)
        if fault is Fault.GATEWAY_TIMEOUT:
            answer = 504, {"Content-Type": "text/html"}, b"<h1>504</h1>"
        with contextlib.suppress(OSError):  # the client may have gone
            self._answer(*answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = pass_on  # noqa: N815 - http.server's names

    def _answer(self, status: int, headers: dict[str, str], answer: bytes) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            if key.lower() not in HOP:
                self.send_header(key, value)
        whole = {key.lower(): value for key, value in headers.items()}.get("content-length", "0")
        self.send_header("Content-Length", whole if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _drop(self) -> None:
        """Reset the connection: the other side gets an error instead of the end of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.connection.close()


def forward(
    target: str, method: str, path: str, headers: Any, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Send a request unchanged, and return status, headers and body of the answer."""
    parts = urlsplit(target)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for key, value in headers.items():
            if key.lower() not in HOP | {"expect"}:
                connection.putheader(key, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    except OSError as error:
        return 502, {"Content-Type": "text/plain"}, str(error).encode()
    finally:
        connection.close()
