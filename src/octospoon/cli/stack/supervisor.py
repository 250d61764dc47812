"""Start the local stack, and prepare the slow first start of its servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.stack.detached import nothing_more, start_detached
from octospoon.cli.stack.health import wait_until_ready
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST
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

    from octospoon.cli.stack.detached import WhenReady
    from octospoon.cli.stack.running import RunningStack

ALL = tuple(SERVICES)


def start(
    root: Path,
    *,
    progress: Callable[[str], None],
    services: Sequence[str] = ALL,
    fresh: bool = False,
    detached: bool = False,
    when_ready: WhenReady = nothing_more,
    listen: str = HOST,
    name: str = "stack",
) -> RunningStack:
    """Start the servers at the same time; return when all of them answer.

    Args:
        root: the checkout.
        progress: receives a line of text for each step.
        services: names of the servers; all of them by default.
        fresh: whether Label Studio and MLflow start empty, and forget everything at the end.
        detached: whether the stack outlives this process. `attach` finds it and `down` ends it. A checkout
            has only one detached stack. Its servers that have ended are started again with their data, see
            `octospoon.cli.stack.detached`.
        when_ready: of a detached stack. It is called with the name of each server that was started and
            answers, and with the addresses of all servers, while others still start.
        listen: of a detached stack: the address at which Label Studio listens.
        name: prefix of the folders of a stack that is not detached.

    Raises:
        NotConfigured: an environment is missing.
        ServiceUnavailable: a server ended, or did not answer; all started servers were ended.
    """
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    require_environments(layout, wanted)
    remove_stale(layout)
    if detached:
        return start_detached(layout, wanted, progress, when_ready, listen)
    return start_servers(layout, wanted, progress, fresh=fresh, name=run_name(name), lifeline=lifeline())


def make_templates(root: Path, *, progress: Callable[[str], None], services: Iterable[str] = ALL) -> None:
    """Do the slow part of first starts now, unless it was done before."""
    layout = Layout(root.resolve())
    wanted = [SERVICES[service] for service in services]
    require_environments(layout, wanted)
    with new_stack(layout, run_name("template"), lifeline()) as stack:
        make_missing_templates(stack, layout, wanted, progress)


def make_seed(root: Path, *, progress: Callable[[str], None]) -> None:
    """Run all migrations of Label Studio and store the result, for a faster first start."""
    layout = Layout(root.resolve())
    service = SERVICES[LABEL_STUDIO]
    with new_stack(layout, run_name("seed"), lifeline()) as stack:
        data = stack.run_dir / "data"
        wait_until_ready([launch(service, stack, layout, data)], progress)
        stack.end_all()
        harvest(layout, data)
