"""octospoon status: where everything stands, and what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.table import Table

from octospoon.cli.local import addresses
from octospoon.cli.operations.labelling_tasks import open_tasks
from octospoon.cli.operations.queues import QUEUES, depth
from octospoon.cli.operations.run_now import REMOVALS_ADVICE
from octospoon.domain.batch import drift_share
from octospoon.domain.errors import OctospoonError
from octospoon.domain.health import removals_problem
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from octospoon.cli.deployment import Deployment

_SHOWN = 20
_EXAMPLES = 3


def show(deployment: Deployment) -> None:
    """Print the whole status, and of the local stack the addresses."""
    for line in addresses.of_deployment(deployment):
        Console().print(line, soft_wrap=True, markup=False, highlight=False)
    Console().print(
        Group(
            _pool(deployment),
            _model(deployment),
            _tasks(deployment),
            _queues(deployment),
            _quarantine(deployment),
        )
    )


def _pool(deployment: Deployment) -> Table:
    table = Table("state", "images", title="pool", title_justify="left")
    counts = deployment.pool.counts()
    for state in State:
        table.add_row(state.value, f"{counts[state]:,}")
    table.add_row("total", f"{sum(counts.values()):,}", style="bold")
    return table


def _model(deployment: Deployment) -> Table:
    table = Table(title="model and labels", title_justify="left", show_header=False)
    found = deployment.champions.pointer()
    table.add_row("champion", f"version {found[0].version}" if found else "none: run `octospoon init-model`")
    table.add_row("drift", drift(deployment, found[0].version if found else -1))
    version, shards = deployment.rescoring.progress()
    if version >= 0:
        oldest = deployment.rescoring.oldest()
        since = f", uploads from {oldest} on" if oldest else ""
        table.add_row("pool re-scored", f"by version {version}: {shards} of 16 shards{since}")
    table.add_row("labelling rounds", str(deployment.rounds.last_number()))
    state = deployment.control.state()
    threshold = deployment.outputs["TrainingThreshold"]
    table.add_row("new labels", f"{state.new_labels} of the {threshold} that start a training")
    proposal = deployment.proposals.read()
    if proposal.waits:
        table.add_row("labels that may be removed", f"{removals_problem(proposal)}; {REMOVALS_ADVICE}")
    table.add_row("answers that do not count", uncounted(deployment))
    table.add_row("newest training job", f"{state.job_id or 'none'} ({state.status}) {state.reason}")
    return table


def uncounted(deployment: Deployment) -> str:
    """Return how many answers do not count and why, with some examples."""
    found = deployment.labels.uncounted(_EXAMPLES)
    if not found.total:
        return "none"
    named = ", ".join(
        f"{one.key} (task {one.task or 'unknown'}, {one.problem})" for one in found.examples[:_EXAMPLES]
    )
    return f"{found}; such as {named}"


def _tasks(deployment: Deployment) -> Table:
    table = Table("tasks", "", "", title="Label Studio", title_justify="left", show_header=False)
    for name, value, note in task_rows(deployment):
        table.add_row(name, value, note)
    return table


def task_rows(deployment: Deployment) -> list[tuple[str, str, str]]:
    """Return how many tasks there are, by what is to be expected of them, each with what it means."""
    try:
        with open_tasks(deployment) as tasks:
            counts, days = tasks.counts(), tasks.days
    except OctospoonError as error:
        return [("tasks", "unknown", str(error))]
    rows = [
        ("waiting", f"{counts.waiting:,}", "for an annotator"),
        ("skipped", f"{counts.skipped:,}", "hold up no batch; they can still be answered"),
        ("abandoned", f"{counts.abandoned:,}", f"unanswered for {days} days: hold up no batch"),
    ]
    if counts.not_ours:
        told = f"not made by octospoon, {counts.not_ours_answered:,} of them answered: not counted"
        rows.append(("not ours", f"{counts.not_ours:,}", f"{told}; `octospoon doctor` says what to do"))
    return rows


def drift(deployment: Deployment, version: int) -> str:
    """Return what the newest test for drift said of the uploads to the model in service."""
    seen = deployment.observations.read()
    if seen.finding is None or seen.version != version:
        return "no day's uploads were tested against this model yet"
    told = f"{seen.finding.level} on {seen.finding.images} uploads until {seen.judged_until}"
    if not seen.drifted:
        return told
    rows = deployment.pool.rows([one.key for one in seen.drifted])
    left = len(drift_share.waiting(seen.drifted, rows))
    return f"{told}; of the {len(seen.drifted)} images by which it shows, {left} can still be chosen"


def _queues(deployment: Deployment) -> Table:
    table = Table("queue", "waiting", "in work", "dead letters", "why", title="queues", title_justify="left")
    sqs = deployment.client("sqs")
    for name in QUEUES:
        waiting, working = depth(sqs, deployment.outputs[f"{name}QueueUrl"])
        dead_url = deployment.outputs[f"{name}DeadLettersUrl"]
        dead, _ = depth(sqs, dead_url)
        why = _peek(sqs, dead_url) if dead else ""
        table.add_row(name.lower(), str(waiting), str(working), str(dead), why)
    return table


def _peek(sqs: SQSClient, url: str) -> str:
    """Return the beginning of some dead letters, without taking them away."""
    answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return "\n".join(message["Body"][:120] for message in answer.get("Messages", []))


def _quarantine(deployment: Deployment) -> Table:
    table = Table("image", "reason", "detail", title="quarantine", title_justify="left")
    found = deployment.pool.quarantined(_SHOWN + 1)
    for key, reason, detail in found[:_SHOWN]:
        table.add_row(key, reason, detail)
    if len(found) > _SHOWN:
        table.add_row("…", "", f"only the first {_SHOWN} are shown")
    return table
