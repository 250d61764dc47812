"""The stack of `octospoon up`: it goes on with its data after `octospoon down`, a crash or a reboot."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from octospoon.cli.stack import kept, ports, resumable
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.health import wait_until_ready
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST, Listener, listener
from octospoon.cli.stack.process import end
from octospoon.cli.stack.record import DETACHED, Record, only_one
from octospoon.cli.stack.running import RunningStack
from octospoon.cli.stack.services import SERVICES
from octospoon.cli.stack.signals import TerminationAsExit
from octospoon.cli.stack.starting import give_data, launch, make_missing_templates
from octospoon.cli.stack.strays import strays

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.stack.health import Launch
    from octospoon.cli.stack.services import Service

    Progress = Callable[[str], None]
    WhenReady = Callable[[str, Mapping[str, str]], None]

_CLOSING = 10.0


def nothing_more(_name: str, _urls: Mapping[str, str]) -> None:
    """Do nothing when a server is ready."""


def start_detached(
    layout: Layout,
    services: Sequence[Service],
    progress: Progress,
    when_ready: WhenReady = nothing_more,
    listen: str = HOST,
) -> RunningStack:
    """Return the detached stack with all its servers: those that do not run are started.

    They get their data and their ports. Data that cannot be used again are moved aside.

    Args:
        layout: of the checkout.
        services: the servers.
        progress: receives a line of text for each step.
        when_ready: is called with the name of each started server that answers, and with all addresses.
        listen: the address at which Label Studio listens, if it is started.
    """
    with only_one(layout):
        before = _recorded(layout)
        before.listen = listen
        end(strays(layout.root, DETACHED, before.processes))
        running = [process for process in before.processes if process.alive()]
        alive = {process.name for process in running}
        missing = [service for service in services if service.name not in alive]
        ended = [process for process in before.processes if process not in running]
        if not missing and not ended:
            progress("the stack is running already")
            return before
        end(ended)  # a process that they started may still run
        if running:
            names = dict.fromkeys([process.name for process in ended] + [service.name for service in missing])
            progress(f"{', '.join(names)}: ended, starting again")
        stopped = {service.name for service in missing}
        if kept.older_version_left_data(layout) or resumable.problem(layout, stopped):
            end(running)
            _move_aside(layout, stopped, progress)
            running, missing = [], list(services)
        before.processes[:] = running
        return _started(before, layout, missing, progress, when_ready)


def attach(root: Path) -> RunningStack | None:
    """Return the detached stack of a checkout if any part of it runs; change nothing."""
    stack = _recorded(Layout(root.resolve()))
    return stack if any(process.alive() for process in stack.processes) else None


def down(root: Path, *, progress: Progress) -> bool:
    """End the detached stack of a checkout; return whether any part ran. Its data stay where they are."""
    layout = Layout(root.resolve())
    with only_one(layout):
        known = _recorded(layout).processes
        doomed = [*known, *strays(layout.root, DETACHED, known)]
        ran = [process for process in doomed if process.alive()]
        progress(f"stopping {', '.join(process.name for process in ran)}" if ran else "no stack is running")
        end(doomed)
        kept.forget_addresses(layout)
        shutil.rmtree(layout.run / DETACHED / "tmp", ignore_errors=True)
        if ran:
            progress("the stack is down; `octospoon up` goes on with its data")
        return bool(ran)


def _recorded(layout: Layout) -> RunningStack:
    """Return the stack in the record; without a readable record, a stack without processes."""
    record = Record.read(layout.detached)
    stack = RunningStack(layout, DETACHED, credentials(layout.credentials), lifeline=None)
    if record is not None:
        stack.urls.update(record.urls)
        stack.processes.extend(record.processes)
    return stack


def _move_aside(layout: Layout, stopped: set[str], progress: Progress) -> None:
    """Move data aside that cannot be used again, with a message."""
    if kept.older_version_left_data(layout):
        folder = kept.keep_older_aside(layout)
        progress(f"the data of an older version of octospoon are kept in {kept.description(layout, folder)}")
    if why := resumable.problem(layout, stopped):
        progress(f"the data of the stack cannot be used again: {why}")
        folder = kept.keep_aside(layout, why)
        progress(f"they are kept in {kept.description(layout, folder)}; {kept.README} there says what to do")


def _started(
    before: RunningStack,
    layout: Layout,
    missing: Sequence[Service],
    progress: Progress,
    when_ready: WhenReady,
) -> RunningStack:
    """Start servers with their data and their ports, or none of them."""
    stack = RunningStack(layout, DETACHED, before.credentials, lifeline=None, termination=TerminationAsExit())
    stack.listen = before.listen
    stack.processes.extend(before.processes)
    if not stack.processes:
        shutil.rmtree(stack.temp_dir, ignore_errors=True)
    for folder in (stack.temp_dir, stack.logs_dir):
        folder.mkdir(parents=True, exist_ok=True)
    chosen = ports.remembered(layout.ports, {service.name: service.port for service in SERVICES.values()})
    urls = {**before.urls, **{service.name: f"http://{HOST}:{chosen[service.name]}" for service in missing}}
    try:
        _fill(stack, layout, missing, progress)
        launches = [_launch(service, stack, layout, chosen[service.name]) for service in missing]
        wait_until_ready(launches, progress, lambda name: when_ready(name, urls))
        ports.remember(layout.ports, chosen | {launch.name: launch.port for launch in launches})
        stack.serve(urls | {launch.name: launch.url for launch in launches})
    except BaseException:
        end(process for process in stack.processes if process not in before.processes)
        raise
    return stack


def _fill(stack: RunningStack, layout: Layout, missing: Sequence[Service], progress: Progress) -> None:
    """Give servers without data those of a first start."""
    resumable.mark(layout)
    new = [service for service in missing if service.stateful and not (layout.data / service.name).exists()]
    if new and not stack.processes:
        make_missing_templates(stack, layout, new, progress)
    for service in missing:
        if service.stateful:
            give_data(service, stack, layout, layout.data / service.name, progress)


def _launch(service: Service, stack: RunningStack, layout: Layout, port: int) -> Launch:
    _wait_until_free(port)
    used_before = layout.resumed_project.exists()  # people know the address
    return launch(service, stack, layout, stack.run_dir / service.name, port, fixed=used_before)


def _wait_until_free(port: int) -> None:
    """Wait a little: a large process closes its sockets some time after its end."""
    deadline = time.monotonic() + _CLOSING
    while listener(port, 0) is Listener.OTHERS and time.monotonic() < deadline:
        time.sleep(0.1)
