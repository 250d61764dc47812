"""octospoon reconcile: repair lost answers, and accept the removal of many labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.usecases.reconcile_report import ReconcileReport

app = typer.Typer()

REPAIRS = {
    "annotations": "annotations repaired",
    "labels": "labels changed",
    "adopted": "images found to have a task",
    "released": "images given back to the pool",
    "duplicates": "needless tasks deleted",
    "requeued": "uploads queued again",
    "withdrawn": "images withdrawn",
    "models": "versions put into service by MLflow's alias",
    "at_odds": "alias that is not followed (`octospoon logs reconcile` says why)",
    "elsewhere": "annotations of another project kept",
    "events": "events published",
    "lost_jobs": "training jobs in a row that did not end well (`octospoon status` says why)",
}
"""How each count of the function's report is shown."""


@app.command(cls=Command, epilog=examples("octospoon reconcile", "octospoon reconcile --full"))
def reconcile(
    full: Annotated[
        bool, typer.Option("--full", help="Look at every task, not only at the changed tasks.")
    ] = False,
    accept_removals: Annotated[
        bool,
        typer.Option(
            "--accept-removals",
            help="Remove the labels of the annotations that Label Studio no longer has. "
            "`octospoon status` shows which.",
        ),
    ] = False,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Count the answers that a lost webhook left uncounted, and repair the rest.

    Use it after an outage of Label Studio, or when labels seem to be missing. The stack does the same every
    15 minutes. A removal of many labels waits until you agree to it with --accept-removals.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import run_now

    if accept_removals and full:
        raise BadRequest(
            "--accept-removals does not go with --full: it accepts the removal that was found last"
        )
    deployment = find_deployment(stack)
    if accept_removals:
        _accept(deployment, as_json=as_json)
    else:
        _show(deployment, run_now.reconcile(deployment, full=full), as_json=as_json)


def _accept(deployment: Deployment, *, as_json: bool) -> None:
    """Remove the proposed labels; raise NotConfigured if nothing waits or the proposal has changed."""
    from octospoon.cli.operations import run_now
    from octospoon.domain.health import removals_problem

    proposal = deployment.proposals.read()
    if not proposal.waits:
        raise NotConfigured("no removal of labels waits for your decision")
    if not as_json:
        print_line(removals_problem(proposal))
    _show(deployment, run_now.accept_removals(deployment, proposal), as_json=as_json)
    if not as_json and deployment.proposals.read().accepted:
        print_line("the removal is not finished: the next runs of `reconcile` continue it")


def _show(deployment: Deployment, report: ReconcileReport, *, as_json: bool) -> None:
    from octospoon.cli.operations.run_now import REMOVALS_ADVICE
    from octospoon.domain.health import removals_problem

    if as_json:
        print_json(report)
        return
    launched = f", training job {report.job} launched" if report.job else ""
    more = "" if report.finished and report.audited else "; the rest waits for the next run"
    counts = ((getattr(report, name), words) for name, words in REPAIRS.items())
    shown = ", ".join(f"{count} {words}" for count, words in counts if count) or "nothing to repair"
    print_line(f"{report.tasks} tasks looked at: {shown}{launched}{more}")
    if report.withheld:
        print_line(removals_problem(deployment.proposals.read()))
        print_line(REMOVALS_ADVICE)
