"""octospoon status: where everything stands, and what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from octospoon.cli.commands.definition import DAILY, AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines, print_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.status import QuarantinedImage, QueueStatus, Status, TaskStatus

app = typer.Typer()


@app.command(
    cls=Command,
    rich_help_panel=DAILY,
    epilog=examples("octospoon status", "octospoon status --stack prod --json"),
)
def status(stack: Stack = None, as_json: AsJson = False) -> None:
    """Show where everything stands, and what needs a person.

    Use it to follow uploads, labelling and training. It shows the images by state, the model in service, the
    open tasks, the queues with their dead letters, and the pictures in quarantine.
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
        _tasks(current.tasks),
        _queues(current.queues),
        _quarantine(current.quarantine, more=current.more_in_quarantine),
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
    version = current.champion_version
    table.add_row("champion", "none: run `octospoon init-model`" if version is None else f"version {version}")
    table.add_row("drift", describe_drift(current.drift))
    if current.rescoring:
        done = current.rescoring
        since = f", uploads from {done.oldest} on" if done.oldest else ""
        progress = f"by version {done.model_version}: {done.shards} of {SHARDS} shards{since}"
        table.add_row("pool re-scored", progress)
    table.add_row("labelling rounds", str(current.labelling_rounds))
    labels = f"{current.new_labels} of the {current.training_threshold} that start a training job"
    table.add_row("new labels", labels)
    if current.removal:
        table.add_row("labels that may be removed", f"{removals_problem(current.removal)}; {REMOVALS_ADVICE}")
    table.add_row("answers that do not count", describe_uncounted(current.uncounted_answers))
    job = current.training_job
    table.add_row("newest training job", f"{job.job_id or 'none'} ({job.status}) {job.reason}")
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


def _queues(queues: Sequence[QueueStatus]) -> Table:
    from rich.table import Table

    table = Table("queue", "waiting", "in work", "dead letters", "why", title="queues", title_justify="left")
    for queue in queues:
        counts = (queue.waiting, queue.in_work, queue.dead_letters)
        table.add_row(queue.queue, *map(str, counts), "\n".join(queue.examples))
    return table


def _quarantine(images: Sequence[QuarantinedImage], *, more: bool) -> Table:
    from rich.table import Table

    table = Table("image", "reason", "detail", title="quarantine", title_justify="left")
    for image in images:
        table.add_row(image.key, image.reason, image.detail)
    if more:
        table.add_row("…", "", f"only the first {len(images)} are shown")
    return table
