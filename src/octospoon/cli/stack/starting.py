"""Start the servers of a stack, and make templates from slow first starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.stack import templates, upgrades
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.health import Launch, wait_until_ready
from octospoon.cli.stack.running import RunningStack
from octospoon.cli.stack.services import Place, Service, environment
from octospoon.cli.stack.signals import TerminationAsExit
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.process import Supervised


def start_servers(
    layout: Layout,
    services: Sequence[Service],
    progress: Callable[[str], None],
    *,
    fresh: bool,
    name: str,
    lifeline: int,
) -> RunningStack:
    """Start servers that end with this process; return when all of them answer, or end all of them.

    Args:
        layout: of the checkout.
        services: the servers.
        progress: receives a line of text for each step.
        fresh: whether the data folders lie in the stack's own folder.
        name: of the stack; its folder must not exist.
        lifeline: closes when the servers must end, see `guard`.
    """
    stack = new_stack(layout, name, lifeline)
    try:
        make_missing_templates(stack, layout, services, progress)
        launches = []
        for service in services:
            data = (stack.run_dir if fresh or not service.stateful else layout.state) / service.name
            if service.stateful:
                give_data(service, stack, layout, data, progress)
            launches.append(launch(service, stack, layout, data))
        wait_until_ready(launches, progress)
        stack.serve({launch.name: launch.url for launch in launches})
    except BaseException:
        stack.stop()
        raise
    return stack


def give_data(
    service: Service, stack: RunningStack, layout: Layout, data: Path, progress: Callable[[str], None]
) -> None:
    """Fill the data folder of a server from its template, or upgrade its data to the installed version."""
    templates.unpack(service, layout, data, stack.credentials, stack.temp_dir)
    upgrades.bring_up_to_date(service, stack, layout, data, progress)


def new_stack(layout: Layout, name: str, lifeline: int) -> RunningStack:
    """Return a stack without running programs, with empty folders for its data and its logs."""
    termination = TerminationAsExit()
    stack = RunningStack(
        layout, name, credentials(layout.credentials), lifeline=lifeline, termination=termination
    )
    stack.temp_dir.mkdir(parents=True)
    stack.logs_dir.mkdir(parents=True, exist_ok=True)
    return stack


def make_missing_templates(
    stack: RunningStack, layout: Layout, services: Sequence[Service], progress: Callable[[str], None]
) -> None:
    """Start each server without a template once, on a folder that becomes the template."""
    missing = [
        service
        for service in services
        if service.stateful and templates.outdated(service, layout, stack.credentials)
    ]
    if not missing:
        return
    progress(f"{', '.join(service.name for service in missing)}: first start, kept as a template")
    drafts = {service: stack.temp_dir / f"{service.name}-draft" for service in missing}
    for service, draft in drafts.items():
        draft.mkdir()
        upgrades.prepare(service, stack, layout, draft)
    slow = [service for service in missing if service.upgrade is None]
    wait_until_ready([launch(service, stack, layout, drafts[service]) for service in slow], progress)
    stack.end_all()
    for service, draft in drafts.items():
        templates.keep(draft, service, layout, stack.credentials)


def launch(
    service: Service,
    stack: RunningStack,
    layout: Layout,
    data: Path,
    port: int | None = None,
    *,
    fixed: bool = True,
) -> Launch:
    """Start a server, on the given port or on a free port.

    Args:
        service: the server.
        stack: that it belongs to.
        layout: of the checkout.
        data: the folder of its data.
        port: where it starts, if one is given.
        fixed: whether it must answer on the given port and no other.
    """
    temp = stack.temp_dir
    for folder in (data, temp):
        folder.mkdir(parents=True, exist_ok=True)

    def start_on(port: int) -> Supervised:
        place = Place(layout, port, data, temp, stack.credentials, stack.detached, stack.listen)
        return stack.launch(service.name, service.argv(place), environment(service, place), cwd=data)

    return Launch.begin(service.name, service.health, start_on, port, fixed=fixed)


def require_environments(layout: Layout, services: Iterable[Service]) -> None:
    """Raise NotConfigured where the environment of a server is missing."""
    programs = {service.name: layout.program(service.name, "python") for service in services}
    if missing := [name for name, program in programs.items() if not program.exists()]:
        raise NotConfigured(f"no environment for {', '.join(missing)}: run `make environments` first")
