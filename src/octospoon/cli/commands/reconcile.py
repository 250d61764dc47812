"""octospoon reconcile: repair now what was lost, and agree to a removal of many labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from octospoon.cli.operations.run_now import REMOVALS_ADVICE, accept_removals, reconcile
from octospoon.domain.errors import NotConfigured
from octospoon.domain.health import removals_problem

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment
    from octospoon.usecases.reconcile import ReconcileReport


def run(deployment: Deployment, *, full: bool) -> None:
    """Reconcile now, and print what was repaired."""
    _show(deployment, reconcile(deployment, full=full))


def accept(deployment: Deployment) -> None:
    """Have the proposed labels removed, and print what became of them.

    Raises:
        NotConfigured: nothing waits, or what is missing has changed since.
    """
    proposal = deployment.proposals.read()
    if not proposal.waits:
        raise NotConfigured("no removal of labels waits for anybody")
    Console(soft_wrap=True).print(removals_problem(proposal), markup=False)
    _show(deployment, accept_removals(deployment, proposal))
    if deployment.proposals.read().accepted:
        Console().print("the removal is not finished: the next runs of `reconcile` go on with it")


def _show(deployment: Deployment, report: ReconcileReport) -> None:
    console = Console(soft_wrap=True)
    launched = f", training job {report.job} launched" if report.job else ""
    more = "" if report.finished and report.audited else "; the rest waits for the next run"
    repaired = {
        "annotations repaired": report.annotations,
        "labels changed": report.labels,
        "images found to have a task": report.adopted,
        "images given back to the pool": report.released,
        "needless tasks deleted": report.duplicates,
        "uploads queued again": report.requeued,
        "images withdrawn": report.withdrawn,
        "versions put into service by MLflow's alias": report.models,
        "alias that is not followed (`octospoon logs reconcile` says why)": report.at_odds,
        "annotations of another project kept": report.elsewhere,
    }
    shown = ", ".join(f"{count} {what}" for what, count in repaired.items() if count) or "nothing to repair"
    console.print(f"{report.tasks} tasks looked at: {shown}{launched}{more}")
    if report.withheld:
        console.print(removals_problem(deployment.proposals.read()), markup=False)
        console.print(REMOVALS_ADVICE, markup=False)
