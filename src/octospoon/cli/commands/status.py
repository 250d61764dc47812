"""octospoon status: where everything stands, and what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines, print_tables

if TYPE_CHECKING:
    from rich.table import Table

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.queues import QueueStatus
    from octospoon.cli.operations.status import QuarantineStatus, Status, TaskStatus

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon status", "octospoon status --stack prod --json"),
)
def status(stack: Stack = None, as_json: AsJson = False) -> None:
    """Show where everything stands, and what needs a person.

    Use it to follow uploads, labelling and training. It shows the images by state, the model in service, the
    open tasks, the queues with their dead letters, and the images in quarantine.
    """
    from octospoon.cli.deployment import find_deployment

    show(find_deployment(stack), as_json=as_json)


def show(deployment: Deployment, *, as_json: bool = False) -> None:
    """Print the whole status, and the addresses of a local stack."""
    from octospoon.cli.local import addresses
    from octospoon.cli.operations.status import read

    if as_json:
        print_json(read(deployment))
        return
    print_lines(addresses.of_deployment(deployment))
    current = read(deployment)
    print_tables(
        _images(current.images),
        _model(current),
        _tasks(current.labelling.tasks),
        _queues(current.queues),
        _quarantine(current.quarantine),
    )


def _images(counts: dict[str, int]) -> Table:
    from rich.table import Table

    table = Table("state", "images", title="pool", title_justify="left")
    for state, count in counts.items():
        table.add_row(state, f"{count:,}")
    table.add_row("total", f"{sum(counts.values()):,}", style="bold")
    return table


def _model(current: Status) -> Table:
    from rich.table import Table

    from octospoon.cli.operations.run_now import REMOVALS_ADVICE
    from octospoon.cli.operations.status import SHARDS, describe_drift, describe_uncounted
    from octospoon.domain.health import removals_problem

    table = Table(title="model and labels", title_justify="left", show_header=False)
    model, labelling, training = current.model, current.labelling, current.training
    table.add_row(
        "champion",
        "none: run `octospoon init-model`" if model.version is None else f"version {model.version}",
    )
    table.add_row("drift", describe_drift(model.drift))
    if model.rescoring:
        done = model.rescoring
        since = f", uploads from {done.oldest} on" if done.oldest else ""
        progress = f"by version {done.model_version}: {done.shards} of {SHARDS} shards{since}"
        table.add_row("pool re-scored", progress)
    if model.reading:
        table.add_row("images read again", str(model.reading))
    if (change := model.backbone_change) is not None:
        follow = "" if change.reason else "; `octospoon backbone use` goes on with it, --revoke gives it up"
        table.add_row("change of the backbone", f"{change.backbone}: {change.stage}{follow}")
    table.add_row("labelling rounds", str(labelling.rounds))
    table.add_row(
        "new labels", f"{training.new_labels} of the {training.threshold} that start a training job"
    )
    if labelling.removal:
        problem = removals_problem(labelling.removal)
        table.add_row("labels that may be removed", f"{problem}; {REMOVALS_ADVICE}")
    table.add_row("answers that do not count", describe_uncounted(labelling.uncounted_answers))
    table.add_row("newest training job", f"{training.job_id or 'none'} ({training.status}) {training.reason}")
    return table


def _tasks(tasks: TaskStatus) -> Table:
    from rich.table import Table

    table = Table("tasks", "", "", title="Label Studio", title_justify="left", show_header=False)
    counts, days = tasks.counts, tasks.open_task_days
    if counts is None:
        table.add_row("tasks", "unknown", tasks.error)
        return table
    table.add_row("waiting", f"{counts.waiting:,}", "for an annotator")
    table.add_row("skipped", f"{counts.skipped:,}", "do not delay a batch; they can still be answered")
    table.add_row("abandoned", f"{counts.abandoned:,}", f"unanswered for {days} days: do not delay a batch")
    if counts.not_ours:
        answered = f"not created by octospoon; {counts.not_ours_answered:,} have answers, which do not count"
        table.add_row("not ours", f"{counts.not_ours:,}", f"{answered}; `octospoon doctor` says what to do")
    return table


def _queues(queues: dict[str, QueueStatus]) -> Table:
    from rich.table import Table

    table = Table("queue", "waiting", "in work", "dead letters", "why", title="queues", title_justify="left")
    for name, queue in queues.items():
        counts = (queue.waiting, queue.in_work, queue.dead_letters)
        table.add_row(name, *map(str, counts), "\n".join(queue.examples))
    return table


def _quarantine(quarantine: QuarantineStatus) -> Table:
    from rich.table import Table

    table = Table("image", "reason", "detail", title="quarantine", title_justify="left")
    for image in quarantine.examples:
        table.add_row(image.key, image.reason, image.detail)
    if quarantine.more:
        table.add_row("…", "", f"only the first {len(quarantine.examples)} are shown")
    return table
