"""octospoon report: how good the model in service is."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_line, print_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.operations.report import Report
    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.monitoring.observations import ModelDecision
    from octospoon.usecases.live_evaluation import LiveEvaluation

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon report", "octospoon report --days 30 --json"),
)
def report(
    days: Annotated[
        float | None, typer.Option(help="Only images uploaded in this many days before now (default: all).")
    ] = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Show how good the model in service is.

    Use it to decide whether to trust the model. It shows accuracy and recall with 95 % intervals, measured
    on the audit share; the newest decisions about models; and drift.

    The model is trained on every label. To measure it, training splits the audit labels into five folds and
    fits five more heads, each without one fold. Each audit label is judged by the head that has not seen it;
    a label that is newer than the model is judged by the model itself. So the accuracy is that of a model
    with slightly fewer labels, and errs on the careful side.
    """
    from octospoon.cli.deployment import find_deployment

    show(find_deployment(stack), days, as_json=as_json)


def show(deployment: Deployment, days: float | None, *, as_json: bool = False) -> None:
    """Print the report.

    Raises:
        NotConfigured: no model with classes is in service yet.
    """
    from octospoon.cli.operations.report import read
    from octospoon.cli.operations.status import describe_drift

    evaluation = read(deployment, days)
    if as_json:
        print_json(evaluation)
        return
    print_tables(_accuracy(evaluation), _recalls(evaluation), _decisions(evaluation.decisions))
    print_line(f"drift: {describe_drift(evaluation.drift)}")
    if test := evaluation.drift_test:
        print_line(
            f"p: embeddings {test.components_p:.2g}, probabilities {test.probabilities_p:.2g}, "
            f"predicted classes {test.classes_p:.2g}"
        )


def _accuracy(evaluation: Report) -> Table:
    from rich.table import Table

    since = f", images uploaded since {evaluation.since}" if evaluation.since else ""
    title = f"version {evaluation.model_version}{since}"
    table = Table("measure", "value", "95 % interval", "labels", title=title, title_justify="left")
    measured = evaluation.measured.evaluation
    table.add_row("[bold]accuracy[/bold]", *_shares(measured.accuracy))
    table.add_row("accuracy, audit share alone", *_shares(measured.audit_accuracy))
    table.add_row("[dim]naive: all labels, trained on or not[/dim]", *_shares(evaluation.measured.naive))
    table.add_row("confidence above accuracy", *_shares(measured.overconfidence))
    table.add_row("calibration error", *_shares(measured.calibration_error))
    table.add_row("log loss, nats", *_numbers(measured.log_loss))
    table.caption = "\n".join(_notes(evaluation.measured))
    return table


def _notes(measured: LiveEvaluation) -> Iterator[str]:
    """Yield who judged the audit labels, and under which rule they were given."""
    labels = measured.evaluation.audit_accuracy.labels
    if measured.fold_heads:
        yield (
            f"of {labels} audit labels, {measured.fold_heads} were trained on and are judged by heads that "
            f"have not seen them; the model itself judges the other {labels - measured.fold_heads}"
        )
    elif labels:
        yield f"the model was trained on none of the {labels} audit labels, and judges them itself"
    if measured.left_out:
        yield (
            f"{measured.left_out} audit labels are left out, because the model was trained on them before "
            "they joined the audit share; the next version can be judged on them"
        )
    if measured.audit_predictions:
        yield f"predictions on audit images: {measured.audit_predictions}"


def _recalls(evaluation: Report) -> Table:
    from rich.table import Table

    table = Table("class", "recall", "95 % interval", "audit labels")
    for name, estimate in zip(evaluation.classes, evaluation.measured.evaluation.recall, strict=True):
        table.add_row(name, *_shares(estimate))
    return table


def _decisions(decisions: Sequence[ModelDecision]) -> Table:
    from rich.table import Table

    table = Table("job", "version", "when (UTC)", "decision", "why", title="models", title_justify="left")
    for decision in decisions:
        when = datetime.fromtimestamp(decision.decided_at, UTC).strftime("%Y-%m-%d %H:%M")
        outcome = "promoted" if decision.promoted else "refused"
        table.add_row(decision.job_id, str(decision.version), when, outcome, "; ".join(decision.reasons))
    return table


def _shares(estimate: Estimate) -> tuple[str, str, str]:
    if not math.isfinite(estimate.value):
        return "unknown", "", str(estimate.labels)
    interval = f"{estimate.low:.1%} to {estimate.high:.1%}" if math.isfinite(estimate.low) else ""
    return f"{estimate.value:.1%}", interval, str(estimate.labels)


def _numbers(estimate: Estimate) -> tuple[str, str, str]:
    if not math.isfinite(estimate.value):
        return "unknown", "", str(estimate.labels)
    interval = f"{estimate.low:.3f} to {estimate.high:.3f}" if math.isfinite(estimate.low) else ""
    return f"{estimate.value:.3f}", interval, str(estimate.labels)
