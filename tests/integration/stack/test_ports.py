from __future__ import annotations

import os
import socket
import subprocess
import sys

from octospoon.cli.stack.ports import HOST, Listener, free_port, listener

LISTEN = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(300)
"""


def test_a_free_port_can_be_bound():
    with socket.create_server((HOST, free_port())):
        pass


def test_nobody_listens_on_a_free_port():
    assert listener(free_port(), os.getpgid(0)) is Listener.NOBODY


def test_ours_is_told_from_others():
    port = free_port()
    command = [sys.executable, "-c", LISTEN, str(port)]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as server:
        assert server.stdout
        server.stdout.readline()
        assert listener(port, server.pid) is Listener.US
        assert listener(port, os.getpgid(0)) is Listener.OTHERS
        server.kill()
