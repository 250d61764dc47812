"""Starts the local stack, finds the one that was left running, and ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.stack.detached import start_detached
from octospoon.cli.stack.health import wait_until_ready
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.process import lifeline
from octospoon.cli.stack.record import remove_stale, run_name
from octospoon.cli.stack.seed import harvest
from octospoon.cli.stack.services import LABEL_STUDIO, SERVICES
from octospoon.cli.stack.starting import (
    launch,
    make_missing_templates,
    new_stack,
    require_environments,
    start_servers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from octospoon.cli.stack.running import RunningStack

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
            checkout has one such stack. Where it runs, what has ended of it is started again; see
            `octospoon.cli.stack.detached`.
        name: what the folders of a stack that is not detached begin with.

    Raises:
        NotConfigured: an environment is missing.
        ServiceUnavailable: a server ended, or did not answer; nothing that was started is left running.
    """
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    require_environments(layout, wanted)
    remove_stale(layout)
    if detached:
        return start_detached(layout, wanted, progress, fresh=fresh)
    return start_servers(layout, wanted, progress, fresh=fresh, name=run_name(name), lifeline=lifeline())


def make_templates(root: Path, *, progress: Callable[[str], None], services: Iterable[str] = ALL) -> None:
    """Do the slow part of first starts now, unless it is done."""
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    require_environments(layout, wanted)
    with new_stack(layout, run_name("template"), lifeline()) as stack:
        make_missing_templates(stack, layout, wanted, progress)


def make_seed(root: Path, *, progress: Callable[[str], None]) -> None:
    """Run all of Label Studio's migrations and keep what they leave, for everybody's first start."""
    layout = Layout(root.resolve())
    service = SERVICES[LABEL_STUDIO]
    with new_stack(layout, run_name("seed"), lifeline()) as stack:
        data = stack.run_dir / "data"
        wait_until_ready([launch(service, stack, layout, data)], progress)
        stack.end_all()
        harvest(layout, data)
