"""Servers that start, fail, or lose their port to another program."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

import pytest

from octospoon.cli.stack import health
from octospoon.cli.stack.health import Launch, wait_until_ready
from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.process import Supervised, end, spawn
from octospoon.domain.errors import ServiceUnavailable

SERVER = """
import http.server, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    seen = 0

    def do_GET(self):
        Handler.seen += 1
        self.send_response(200 if Handler.seen > 2 and self.path == "/health" else 503)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
SILENT = "import time; time.sleep(300)"
DYING = "import sys; print('password file is missing'); sys.exit(3)"


@pytest.fixture
def launch(tmp_path):
    started: list[Supervised] = []

    def begin(program: str) -> Launch:
        def start(port: int) -> Supervised:
            argv = [sys.executable, "-c", program, str(port)]
            env = {"PATH": os.environ["PATH"]}
            process = spawn(
                "server", argv, env, log=tmp_path / "server.log", cwd=tmp_path, mark="test", lifeline=None
            )
            started.append(process)
            return process

        return Launch.begin("server", "/health", start)

    yield begin
    end(started)


def test_ready_when_health_answers_200(launch):
    lines: list[str] = []
    server = launch(SERVER)
    wait_until_ready([server], lines.append)
    assert health.answers(server.port, "/health")
    assert lines[-1].startswith("server: ready after")
    assert server.url in lines[-1]


def test_a_server_that_dies_is_reported_with_its_last_words(launch):
    with pytest.raises(
        ServiceUnavailable, match=r"(?s)server ended with exit code 3.*password file is missing"
    ):
        wait_until_ready([launch(DYING)], lambda _: None)


def test_a_server_that_never_answers_is_reported(launch, monkeypatch):
    monkeypatch.setattr(health, "PATIENCE", 0.5)
    monkeypatch.setattr(health, "REMINDER", 0.1)
    lines: list[str] = []
    with pytest.raises(ServiceUnavailable, match="did not answer within"):
        wait_until_ready([launch(SILENT)], lines.append)
    assert "server: starting" in lines[0]


def check_given_up(taken, launch, monkeypatch):
    """Check that a server which is given a taken port becomes ready on another one."""
    free = iter([taken])
    ours = health.free_port  # type: ignore[attr-defined]
    monkeypatch.setattr(health, "free_port", lambda: next(free, None) or ours())
    server = launch(SERVER)
    assert server.port == taken
    wait_until_ready([server], lambda _: None)
    assert server.port != taken


def test_a_port_that_somebody_took_is_given_up_for_another(launch, monkeypatch):
    with socket.create_server((HOST, 0)) as thief:
        check_given_up(thief.getsockname()[1], launch, monkeypatch)


def test_port_of_a_short_connection_is_given_up_too(launch, monkeypatch):
    with socket.create_server((HOST, 0)) as other, socket.create_connection(other.getsockname()) as client:
        check_given_up(client.getsockname()[1], launch, monkeypatch)


def test_ports_are_not_tried_for_ever(launch, monkeypatch):
    with contextlib.ExitStack() as thieves:

        def taken() -> int:
            return thieves.enter_context(socket.create_server((HOST, 0))).getsockname()[1]

        monkeypatch.setattr(health, "free_port", taken)
        with pytest.raises(ServiceUnavailable):
            wait_until_ready([launch(SERVER)], lambda _: None)


def test_the_tail_of_a_long_log_is_short(tmp_path):
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert len(health.tail(log).splitlines()) == health.TAIL_LINES
    assert health.tail(log).endswith("line 999")
    assert health.tail(tmp_path / "none") == "  (empty)"
