"""Starts the local stack, finds the one that was left running, and ends it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from octospoon.cli.stack import templates
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.health import Launch, wait_until_ready
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.process import lifeline
from octospoon.cli.stack.record import DETACHED, Record, only_one, run_name, sweep
from octospoon.cli.stack.running import RunningStack
from octospoon.cli.stack.seed import harvest
from octospoon.cli.stack.services import LABEL_STUDIO, SERVICES, Place, Service, environment
from octospoon.cli.stack.signals import TerminationAsExit
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from octospoon.cli.stack.process import Supervised

ALL = tuple(SERVICES)


def start(
    root: Path,
    *,
    progress: Callable[[str], None],
    services: Sequence[str] = ALL,
    fresh: bool = False,
    detached: bool = False,
    name: str = "stack",
) -> RunningStack:
    """Start the servers side by side and return when all of them answer.

    Args:
        root: the checkout.
        progress: is told, in one line each, how it goes.
        services: which servers; all of them unless said.
        fresh: whether Label Studio and MLflow start empty, and forget everything at the end.
        detached: whether the stack outlives this process, to be found by `attach` and ended by `down`; a
            checkout has one such stack, which is returned as it is when it runs already.
        name: what the folders of a stack that is not detached begin with.

    Raises:
        NotConfigured: an environment is missing.
        ServiceUnavailable: a server ended, or did not answer; nothing is left running.
    """
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    _require_environments(layout, wanted)
    sweep(layout)
    if not detached:
        return _start(layout, wanted, progress, fresh=fresh, name=run_name(name), lifeline=lifeline())
    with only_one(layout):
        if running := attach(root):
            if set(services) <= set(running.urls) and all(process.alive() for process in running.processes):
                progress("the stack is running already")
                return running
            progress("parts of the stack have ended: starting it anew")
            running.stop()
        return _start(layout, wanted, progress, fresh=fresh, name=DETACHED, lifeline=None)


def attach(root: Path) -> RunningStack | None:
    """Return the detached stack of a checkout, if any of it runs; forget it otherwise."""
    layout = Layout(root.resolve())
    record = Record.read(layout.detached)
    if record is None:
        return None
    stack = RunningStack(layout, record.name, credentials(layout.credentials), lifeline=None)
    stack.urls.update(record.urls)
    stack.processes.extend(record.processes)
    if any(process.alive() for process in record.processes):
        return stack
    stack.stop()
    return None


def down(root: Path, *, progress: Callable[[str], None]) -> bool:
    """End the detached stack of a checkout; return whether there was one."""
    with only_one(Layout(root.resolve())):
        stack = attach(root)
        if stack is None:
            progress("no stack is running")
            return False
        progress(f"stopping {', '.join(process.name for process in stack.processes)}")
        stack.stop()
        progress("the stack is down")
        return True


def make_templates(root: Path, *, progress: Callable[[str], None], services: Iterable[str] = ALL) -> None:
    """Do the slow part of first starts now, unless it is done."""
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    _require_environments(layout, wanted)
    with _new_stack(layout, run_name("template"), lifeline()) as stack:
        _make_templates(stack, layout, wanted, progress)


def make_seed(root: Path, *, progress: Callable[[str], None]) -> None:
    """Run all of Label Studio's migrations and keep what they leave, for everybody's first start."""
    layout = Layout(root.resolve())
    service = SERVICES[LABEL_STUDIO]
    with _new_stack(layout, run_name("seed"), lifeline()) as stack:
        data = stack.run_dir / "data"
        wait_until_ready([_launch(service, stack, layout, data)], progress)
        stack.end_all()
        harvest(layout, data)


def _start(
    layout: Layout,
    wanted: Sequence[Service],
    progress: Callable[[str], None],
    *,
    fresh: bool,
    name: str,
    lifeline: int | None,
) -> RunningStack:
    stack = _new_stack(layout, name, lifeline)
    try:
        _make_templates(stack, layout, wanted, progress)
        launches = []
        for service in wanted:
            data = (stack.run_dir if fresh or not service.stateful else layout.state) / service.name
            if service.stateful:
                templates.unpack(service, layout, data, stack.credentials)
            launches.append(_launch(service, stack, layout, data))
        wait_until_ready(launches, progress)
        stack.serve({launch.name: launch.url for launch in launches})
    except BaseException:
        stack.stop()
        raise
    return stack


def _new_stack(layout: Layout, name: str, lifeline: int | None) -> RunningStack:
    termination = TerminationAsExit()
    stack = RunningStack(
        layout, name, credentials(layout.credentials), lifeline=lifeline, termination=termination
    )
    for folder in (stack.run_dir, stack.logs_dir):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return stack


def _make_templates(
    stack: RunningStack, layout: Layout, wanted: Sequence[Service], progress: Callable[[str], None]
) -> None:
    """Start what has no template yet once, on a folder that becomes the template."""
    missing = [
        service
        for service in wanted
        if service.stateful and templates.outdated(service, layout, stack.credentials)
    ]
    if not missing:
        return
    progress(f"{', '.join(service.name for service in missing)}: first start, kept for the next time")
    drafts = {service: stack.run_dir / f"{service.name}-draft" for service in missing}
    for service, draft in drafts.items():
        draft.mkdir()
        if service.prepare:
            service.prepare(layout, draft)
    wait_until_ready([_launch(service, stack, layout, draft) for service, draft in drafts.items()], progress)
    stack.end_all()
    for service, draft in drafts.items():
        templates.keep(draft, service, layout, stack.credentials)


def _launch(service: Service, stack: RunningStack, layout: Layout, data: Path) -> Launch:
    temp = stack.run_dir / "tmp"
    for folder in (data, temp):
        folder.mkdir(parents=True, exist_ok=True)

    def start_on(port: int) -> Supervised:
        place = Place(layout, port, data, temp, stack.credentials)
        return stack.launch(service.name, service.argv(place), environment(service, place), cwd=data)

    return Launch.begin(service.name, service.health, start_on)


def _require_environments(layout: Layout, wanted: Iterable[Service]) -> None:
    programs = {service.name: layout.program(service.name, "python") for service in wanted}
    if missing := [name for name, program in programs.items() if not program.exists()]:
        raise NotConfigured(f"no environment for {', '.join(missing)}: run `make environments` first")
