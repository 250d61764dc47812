"""Find a free loopback port, remember chosen ports, and find the process that listens on a port."""

from __future__ import annotations

import contextlib
import enum
import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.files import draft_of
from octospoon.cli.stack.process import members
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only where a person asks for it
"""The address at which a server listens for every machine in the network."""
FILE = ".octospoon/ports.json"
LISTENING = "0A"
_NEIGHBOURS = 20


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


def remembered(path: Path, preferred: Mapping[str, int]) -> dict[str, int]:
    """Return the port of each server; choose and write those that are new.

    Args:
        path: of the file with the chosen ports.
        preferred: the port that each server gets if it is free, else one of the next ones.

    Raises:
        NotConfigured: the file does not contain ports.
    """
    ports = _read(path)
    for name in preferred.keys() - ports.keys():
        taken = set(ports.values())
        nearby = range(preferred[name], preferred[name] + _NEIGHBOURS)
        free = (port for port in nearby if port not in taken and _is_free(port))
        ports[name] = next(free, 0) or free_port()
    remember(path, ports)
    return ports


def remember(path: Path, ports: Mapping[str, int]) -> None:
    """Write the port of each server, as one atomic change."""
    text = json.dumps(ports, indent=2)
    if not path.exists() or path.read_text() != text:
        with draft_of(path) as draft:
            draft.write_text(text)


def _read(path: Path) -> dict[str, int]:
    try:
        content = json.loads(path.read_text())
        ports = {str(name): int(port) for name, port in content.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise NotConfigured(
            f"{path} cannot be read ({error}): correct it, or remove it so that new ports are chosen"
        ) from error
    if wrong := [port for port in ports.values() if not 0 < port < 65536]:
        raise NotConfigured(f"{path} has {wrong[0]} as a port: write a number from 1 to 65535")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


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
