"""octospoon backfill: queue the images that the bucket already holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_error_line, print_json, print_line, print_lines

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.backfill import Estimate
    from octospoon.domain.pool.backfill import Backfill

app = typer.Typer()
RATE = 200
Prefix = Annotated[
    str, typer.Option(help="Only objects whose key begins so, such as photos/.", show_default=False)
]
Since = Annotated[
    str, typer.Option(help="Only objects written since this time, such as 2026-01-31.", show_default=False)
]
Rate = Annotated[int, typer.Option(min=1, max=10_000, help="Objects to queue a second, at most.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the cost, and queue nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Queue without asking.")]
Restart = Annotated[
    bool,
    typer.Option("--restart", help="Forget an unfinished backfill. What it has queued may be queued twice."),
]


EXAMPLES = examples(
    "octospoon backfill --dry-run",
    "octospoon backfill --prefix photos/ --since 2026-01-31 --rate 500 --yes",
)


@app.command(cls=Command, epilog=EXAMPLES)
def backfill(
    prefix: Prefix = "",
    since: Since = "",
    rate: Rate = RATE,
    dry_run: DryRun = False,
    yes: Yes = False,
    restart: Restart = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Queue the images that the bucket already holds, to be scored.

    Use it for objects that are older than the stack. It first prints what that costs. Objects whose bytes
    are known are left out. When it is stopped, the same command continues, on any machine.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import backfill as operation

    deployment = find_deployment(stack)
    operation.check_prefix(deployment, prefix)
    scope = operation.run_backfill(deployment).scope(prefix, operation.epoch_seconds(since), restart=restart)
    if scope.queued and not as_json:
        print_error_line(f"continues an unfinished backfill, which has queued {scope.queued:,} objects")
    cost = _estimate(deployment, scope, rate)
    if not as_json:
        print_lines(cost.lines())
    left = cost.images > 0 or bool(scope.doubtful)
    done = None
    if left and not dry_run and (yes or _agreed(as_json=as_json)):
        done = _queue(deployment, scope, rate, cost.images)
    if as_json:
        _print_document(scope, cost, done, left=left)
    else:
        print_line(_outcome(done, dry_run=dry_run, left=left))


def _print_document(scope: Backfill, cost: Estimate, done: Backfill | None, *, left: bool) -> None:
    queued = done.queued - scope.queued if done else 0
    finished = done.finished if done else not left
    print_json({"estimate": cost.document(), "queued": queued, "finished": finished})


def _agreed(*, as_json: bool) -> bool:
    import sys

    return not as_json and sys.stdin.isatty() and typer.confirm("Queue them?")


def _estimate(deployment: Deployment, scope: Backfill, rate: int) -> Estimate:
    from rich.console import Console

    from octospoon.cli.operations import backfill as operation
    from octospoon.usecases.backfill import Survey, survey

    with Console(stderr=True).status("Listing the bucket") as shown:

        def report(counted: Survey) -> None:
            shown.update(f"Listing the bucket: {counted.objects:,} objects, {counted.images:,} to queue")

        surveyed = survey(operation.run_backfill(deployment).pages(scope), report)
    return operation.estimate(surveyed, rate, operation.measured(deployment, surveyed))


def _queue(deployment: Deployment, scope: Backfill, rate: int, images: int) -> Backfill:
    """Queue what is left, with a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from octospoon.cli.operations import backfill as operation
    from octospoon.domain.pool.backfill import Pace

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("Queueing", total=images)

        def report(state: Backfill) -> None:
            doubtful = state.doubtful and state.queued - scope.queued >= images
            title = "Waiting for an empty queue" if doubtful else "Queueing"
            progress.update(bar, completed=state.queued - scope.queued, description=title)

        return operation.run_backfill(deployment, report)(scope, Pace(rate))


def _outcome(done: Backfill | None, *, dry_run: bool, left: bool) -> str:
    if not left:
        return "nothing is left to queue"
    if done is None:
        return "nothing is queued" + ("" if dry_run else ": add --yes to queue them")
    if not done.finished:
        return (
            f"{done.queued:,} images queued; the run before was stopped while it queued some others. "
            "Run the same command again when `octospoon status` shows that none wait"
        )
    return f"{done.queued:,} images queued; `octospoon status` shows whether they are scored"
