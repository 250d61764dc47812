"""Serve the part of S3 and DynamoDB that scoring uses, with added latency, in a separate process.

Images are served under any key ``<anything>/<number>``. Every conditional write succeeds and is counted.
Clients use `boto3` unchanged. Compared with AWS, TLS and the network path are missing.

    python -m bench.local_aws PICTURES MODEL_FOLDER S3_LATENCY DYNAMODB_LATENCY     (in seconds)

prints the port, serves until its standard input ends, and then prints the rows written and its CPU seconds.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGES, ARTIFACTS, TABLE = "images", "artifacts", "pool"
REGION = "us-east-1"
DYNAMODB_LATENCY = 0.005
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Answers:
    """The answers to requests, and the number of rows written."""

    pictures: list[Path]
    models: dict[str, bytes]
    s3_latency: float
    dynamodb_latency: float
    rows: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.files = [(os.open(path, os.O_RDONLY), path.stat().st_size) for path in self.pictures]

    def to(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        method, target, _ = head.split(b" ", 2)
        if method == b"POST":
            time.sleep(self.dynamodb_latency)
            return connection.sendall(NO_ROWS if b".BatchGetItem" in head else self._written(body))
        time.sleep(self.s3_latency)
        bucket, _, key = target.decode().partition("?")[0].lstrip("/").partition("/")
        if bucket == ARTIFACTS:
            return connection.sendall(stored(self.models, key, head))
        file, size = self.files[int(key.rpartition("/")[2]) % len(self.files)]
        connection.sendall(_head(size), socket.MSG_MORE)
        sent = 0
        while sent < size:  # no copy: the processor's time is the function's
            sent += os.sendfile(connection.fileno(), file, sent, size - sent)
        return None

    def _written(self, body: bytes) -> bytes:
        statements = body.count(b'"Statement"')
        with self.lock:
            self.rows += statements or 1
        answer = {"Responses": [{"TableName": TABLE}] * statements} if statements else {}
        return json_answer(answer)


def stored(objects: dict[str, bytes], key: str, head: bytes) -> bytes:
    """Return S3's answer to a GET of an object; its ETag never changes."""
    if key not in objects:
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    if b"if-none-match" in head.lower():
        return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n"
    body = objects[key]
    return _head(len(body)) + body


def json_answer(answer: object) -> bytes:
    """Return DynamoDB's answer."""
    body = json.dumps(answer).encode()
    return _head(len(body), b"application/x-amz-json-1.0") + body


def _head(size: int, kind: bytes = b"binary/octet-stream") -> bytes:
    head = b'HTTP/1.1 200 OK\r\nContent-Type: %b\r\nETag: "e"\r\nContent-Length: %d\r\n\r\n'
    return head % (kind, size)


NO_ROWS = json_answer({"Responses": {}})


class Answering(Protocol):
    """The answers of a server."""

    def to(self, connection: socket.socket, head: bytes, body: bytes) -> None:
        """Answer one request."""


def serve(connection: socket.socket, answers: Answering) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while True:
        while b"\r\n\r\n" not in waiting:
            if not (more := connection.recv(1 << 16)):
                return
            waiting += more
        head, _, rest = waiting.partition(b"\r\n\r\n")
        length = int(next(iter(_LENGTH.findall(head)), 0))
        while len(rest) < length:
            rest += connection.recv(1 << 16)
        waiting = rest[length:]
        answers.to(connection, head, rest[:length])


def main() -> None:
    image_folder, models, s3_latency, dynamodb_latency = sys.argv[1:]
    files = sorted(Path(image_folder).iterdir())
    answers = Answers(files, contents(Path(models)), float(s3_latency), float(dynamodb_latency))
    serve_until_told(answers)
    print(json.dumps({"rows": answers.rows, "cpu": time.process_time()}))


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def serve_until_told(answers: Answering) -> None:
    """Print the port, and serve until standard input ends."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)

    def accept() -> None:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=serve, args=(connection, answers), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    sys.stdin.read()


@dataclass
class Running:
    """A started server; `report` has its counts and CPU seconds, after it has ended."""

    environment: dict[str, str]
    report: dict[str, float] = field(default_factory=dict)


@contextmanager
def running(pictures: Path, models: Path, s3_latency: float) -> Iterator[Running]:
    """Run the server; yield an object with the environment variables for its clients."""
    with started("bench.local_aws", str(pictures), str(models), str(s3_latency), str(DYNAMODB_LATENCY)) as it:
        yield it


@contextmanager
def started(*module: str) -> Iterator[Running]:
    """Run a module's server with these arguments."""
    with subprocess.Popen(
        [sys.executable, "-m", *module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        server = Running(_environment(int(process.stdout.readline())))
        try:
            yield server
        finally:
            process.stdin.close()
            server.report = json.loads(process.stdout.readline())


def _environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": REGION,
        "OCTOSPOON_IMAGES_BUCKET": IMAGES,
        "OCTOSPOON_ARTIFACTS_BUCKET": ARTIFACTS,
        "OCTOSPOON_POOL_TABLE": TABLE,
        "OCTOSPOON_ANNOTATIONS_TABLE": "annotations",
        "OCTOSPOON_CONTROL_TABLE": "control",
        "OCTOSPOON_RESCORE_QUEUE_URL": f"http://127.0.0.1:{port}/queue",
        "POWERTOOLS_SERVICE_NAME": "score",
    }


if __name__ == "__main__":
    main()
