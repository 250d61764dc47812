from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from octospoon.cli.stack.ports import HOST, Listener, free_port, listener

LISTEN = """
import socket, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(300)
"""


def test_a_free_port_can_be_bound():
    for _ in range(5):  # another program may take one of them first
        with contextlib.suppress(OSError), socket.create_server((HOST, free_port())):
            return
    pytest.fail("none of five free ports was free")


def test_nobody_listens_on_a_port_that_is_only_bound():
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        assert listener(bound.getsockname()[1], os.getpgid(0)) is Listener.NOBODY


def test_ours_is_told_from_others():
    command = [sys.executable, "-c", LISTEN]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        assert listener(port, server.pid) is Listener.US
        assert listener(port, os.getpgid(0)) is Listener.OTHERS
        server.kill()
