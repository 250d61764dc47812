"""Start servers at the same time and wait until each answers."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.cli.stack.ports import FILE, HOST, Listener, free_port, listener
from octospoon.cli.stack.process import Supervised, end, exit_code
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE = 300.0
ATTEMPTS = 3
REMINDER = 10.0
TAIL_LINES = 25
_TAKEN = "already in use"


@dataclass
class Launch:
    """One server on its way up.

    Attributes:
        start: starts the server on a port.
        health: the path that answers 200 once it is ready.
        process, port: the newest attempt.
        fixed: whether it must answer on this port and no other.
    """

    name: str
    health: str
    start: Callable[[int], Supervised]
    process: Supervised
    port: int
    attempt: int = 1
    fixed: bool = False

    @classmethod
    def begin(
        cls,
        name: str,
        health: str,
        start: Callable[[int], Supervised],
        port: int | None = None,
        *,
        fixed: bool = True,
    ) -> Launch:
        """Start the server for the first time, on a free port.

        Args:
            name: of the server.
            health: the path that answers 200 once it is ready.
            start: starts the server on a port.
            port: where it starts, if one is given.
            fixed: whether it must answer on the given port and no other.
        """
        chosen = free_port() if port is None else port
        return cls(name, health, start, start(chosen), chosen, fixed=fixed and port is not None)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://{HOST}:{self.port}"

    def ready(self) -> bool:
        """Check once. Start the server again if another program took the port; raise if it has failed."""
        holder, alive = listener(self.port, self.process.pid), self.process.alive()
        taken = holder is Listener.OTHERS or (not alive and _lost_port(self.process))
        if taken and self.fixed:
            raise ServiceUnavailable(
                f"another program uses port {self.port}, the port of {self.name}: end that program, "
                f"or write another port into {FILE}, then run `octospoon up` again; nothing was changed"
            )
        if taken and self.attempt < ATTEMPTS:
            end([self.process])
            self.attempt, self.port = self.attempt + 1, free_port()
            self.process = self.start(self.port)
        elif taken or not alive:
            raise failure(self.process)
        return holder is Listener.US and answers(self.port, self.health)


def wait_until_ready(
    launches: Sequence[Launch],
    progress: Callable[[str], None],
    when_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Wait until all servers answer, and report progress.

    Args:
        launches: the servers.
        progress: receives a line of text for each step.
        when_ready: is called with the name of each server as soon as it answers, while others still start.
    """
    began = reminded = time.monotonic()
    waiting = list(launches)
    while waiting:
        now = time.monotonic()
        for launch in [launch for launch in waiting if launch.ready()]:
            progress(f"{launch.name}: ready after {now - began:.1f} s, {launch.url}")
            waiting.remove(launch)
            when_ready(launch.name)
        if waiting and now - began > PATIENCE:
            raise failure(waiting[0].process, f"did not answer within {PATIENCE:.0f} s")
        if waiting and now - reminded > REMINDER:
            reminded = now
            progress(f"{', '.join(launch.name for launch in waiting)}: starting, {now - began:.0f} s so far")
        time.sleep(0.1)


def answers(port: int, path: str) -> bool:
    """Say whether a GET request for the path is answered with 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _lost_port(process: Supervised) -> bool:
    """Return whether a program ended because its port was taken.

    A connection of another program may have the port, without listening on it, and may be gone by now. The
    servers word the error differently, but all of them say that it is already in use.
    """
    return _TAKEN in tail(Path(process.log)).casefold()


def failure(process: Supervised, what: str | None = None) -> ServiceUnavailable:
    """Return an error with the end of the log of a program."""
    code = exit_code(process.pid)
    happened = what or (f"ended with exit code {code}" if code is not None else "has ended")
    last = tail(Path(process.log))
    return ServiceUnavailable(f"{process.name} {happened}; the end of {process.log}:\n{last}")


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  (empty)"
