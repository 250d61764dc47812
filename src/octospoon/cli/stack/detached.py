"""The stack of `octospoon up`: restarted if parts of it ended, and kept aside when it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from octospoon.cli.stack import kept
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.health import wait_until_ready
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import Listener, listener
from octospoon.cli.stack.process import end
from octospoon.cli.stack.record import DETACHED, Record, only_one
from octospoon.cli.stack.running import RunningStack
from octospoon.cli.stack.services import LOCALSTACK, SERVICES
from octospoon.cli.stack.signals import TerminationAsExit
from octospoon.cli.stack.starting import launch, start_servers
from octospoon.cli.stack.strays import strays
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from octospoon.cli.stack.health import Launch
    from octospoon.cli.stack.services import Service

    Progress = Callable[[str], None]

_CLOSING = 10.0


def start_detached(
    layout: Layout, wanted: Sequence[Service], progress: Progress, *, fresh: bool
) -> RunningStack:
    """Return the running detached stack with all its servers, or a new stack.

    Servers with their state on disk are started again, as long as LocalStack runs: buckets, tables and queues
    are in its memory. If LocalStack has ended, the data are moved aside and a new stack starts.
    """
    with only_one(layout):
        stack = _recorded(layout)
        end(strays(layout.root, DETACHED, stack.processes if stack else ()))
        if stack and _can_be_mended(stack, wanted):
            return _mended(stack, layout, progress, fresh=fresh)
        if stack:
            progress("LocalStack has ended, and its memory is lost: starting a new stack")
            stack.end_all()
        _keep(layout, progress)
        return start_servers(layout, wanted, progress, fresh=fresh, name=DETACHED, lifeline=None)


def attach(root: Path) -> RunningStack | None:
    """Return the detached stack of a checkout if any part of it runs; change nothing."""
    stack = _recorded(Layout(root.resolve()))
    return stack if stack and any(process.alive() for process in stack.processes) else None


def down(root: Path, *, progress: Progress) -> bool:
    """End the detached stack of a checkout and move its data aside; return whether any part ran."""
    layout = Layout(root.resolve())
    with only_one(layout):
        stack = _recorded(layout)
        known = stack.processes if stack else []
        doomed = [*known, *strays(layout.root, DETACHED, known)]
        ran = [process for process in doomed if process.alive()]
        progress(f"stopping {', '.join(process.name for process in ran)}" if ran else "no stack is running")
        end(doomed)
        _keep(layout, progress)
        if ran:
            progress("the stack is down")
        return bool(ran)


def _recorded(layout: Layout) -> RunningStack | None:
    record = Record.read(layout.detached)
    if record is None:
        return None
    stack = RunningStack(layout, record.name, credentials(layout.credentials), lifeline=None)
    stack.urls.update(record.urls)
    stack.processes.extend(record.processes)
    return stack


def _can_be_mended(stack: RunningStack, wanted: Sequence[Service]) -> bool:
    alive = {process.name for process in stack.processes if process.alive()}
    return bool(alive) and {service.name for service in wanted} <= set(stack.urls) and LOCALSTACK in alive


def _mended(stack: RunningStack, layout: Layout, progress: Progress, *, fresh: bool) -> RunningStack:
    """Start the ended servers again, with their data and their ports."""
    ended = [process for process in stack.processes if not process.alive()]
    if not ended:
        progress("the stack is running already")
        return stack
    progress(f"{', '.join(process.name for process in ended)}: ended, starting again")
    end(ended)  # a process that they started may still run
    running = RunningStack(
        layout, stack.name, stack.credentials, lifeline=None, termination=TerminationAsExit()
    )
    running.processes.extend(process for process in stack.processes if process not in ended)
    names = [process.name for process in ended if process.name in SERVICES]
    try:
        wait_until_ready([_again(name, stack, running, layout, fresh=fresh) for name in names], progress)
        running.serve(stack.urls)
    except BaseException:
        end(process for process in running.processes if process not in stack.processes)
        raise
    return running


def _again(name: str, stack: RunningStack, running: RunningStack, layout: Layout, *, fresh: bool) -> Launch:
    service = SERVICES[name]
    data = (stack.run_dir if fresh else layout.state) / name
    if service.stateful and not data.is_dir():
        raise ServiceUnavailable(
            f"the data of {name} are gone ({data}): run `octospoon down`, then `octospoon up`"
        )
    port = int(stack.urls[name].rpartition(":")[2])
    _wait_until_free(port)
    return launch(service, running, layout, data, port)


def _wait_until_free(port: int) -> None:
    """Wait a little: a large process closes its sockets some time after its end."""
    deadline = time.monotonic() + _CLOSING
    while listener(port, 0) is Listener.OTHERS and time.monotonic() < deadline:
        time.sleep(0.1)


def _keep(layout: Layout, progress: Progress) -> None:
    folder = kept.keep_aside(layout)
    if folder is not None:
        progress(f"the data of the stack are kept in {kept.description(layout, folder)}")
        progress(
            f"{kept.README} there says how to export the labels; only `octospoon down --forget` removes it"
        )
