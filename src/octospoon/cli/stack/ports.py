"""Find a free loopback port, and the process that listens on a port."""

from __future__ import annotations

import contextlib
import enum
import re
import socket
from pathlib import Path

from octospoon.cli.stack.process import members

HOST = "127.0.0.1"
LISTENING = "0A"


class Listener(enum.Enum):
    """Who listens on a port."""

    NOBODY = "nobody"
    US = "us"
    OTHERS = "others"


def free_port() -> int:
    """Return a port that is free now. Another program may still take it, so check `listener` afterwards."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def listener(port: int, group: int) -> Listener:
    """Say who listens on a port: a member of the process group, another process, or nobody."""
    if not Path("/proc/net/tcp").exists():  # other systems do not have this table: trust the answer
        return Listener.US
    sockets = _listening(port)
    if not sockets:
        return Listener.NOBODY
    return Listener.US if sockets & _sockets_of(group) else Listener.OTHERS


def _listening(port: int) -> set[str]:
    """Return the inodes of the sockets that listen on a port."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def _sockets_of(group: int) -> set[str]:
    inodes = set()
    for pid in members(group):
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if match := re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())):
                        inodes.add(match[1])
    return inodes
