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
    from octospoon.domain.evaluation.estimators import Estimate, Evaluation
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
    on the audit share; the newest decisions about models; and drift. The accuracy of a model with several
    classes per image is macro F1, that of a detector is AP50.

    The model is trained on every label. To measure it, training splits the audit labels into five folds and
    fits five more heads, each without one fold. Each audit label is judged by the head that has not seen it;
    a label that is newer than the model is judged by the model itself. So the accuracy is that of a model
    with slightly fewer labels, and errs on the careful side. A detector is trained on no audit label.
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
    title = deployment.task_type.evaluator.metric_title
    print_tables(_accuracy(evaluation, title), _classes(evaluation), _decisions(evaluation.decisions))
    print_line(f"drift: {describe_drift(evaluation.drift)}")
    if test := evaluation.drift_test:
        print_line(
            f"p: embeddings {test.components_p:.2g}, predictions {test.probabilities_p:.2g}, "
            f"predicted classes {test.classes_p:.2g}"
        )


def _accuracy(evaluation: Report, metric: str) -> Table:
    from rich.table import Table

    since = f", images uploaded since {evaluation.since}" if evaluation.since else ""
    title = f"version {evaluation.model_version}{since}"
    table = Table("measure", "value", "95 % interval", "labels", title=title, title_justify="left")
    measured = evaluation.measured.evaluation
    table.add_row(f"[bold]{metric}[/bold]", *_shares(measured.accuracy))
    for name, estimate in _beside(measured):
        table.add_row(name, *_shares(estimate))
    naive = evaluation.measured.naive
    if naive.labels:
        table.add_row("[dim]naive: right on all labels, trained on or not[/dim]", *_shares(naive))
    table.add_row("confidence above the share of right answers", *_shares(measured.overconfidence))
    table.add_row("calibration error", *_shares(measured.calibration_error))
    table.add_row("log loss, nats", *_numbers(measured.log_loss))
    table.caption = "\n".join(_notes(evaluation.measured))
    return table


def _beside(measured: Evaluation) -> list[tuple[str, Estimate]]:
    """Return the names and estimates of further metrics, which depend on the kind of label."""
    from octospoon.domain.task_types.detection.estimates import DetectionEvaluation
    from octospoon.domain.task_types.multilabel.estimates import MultilabelEvaluation

    if isinstance(measured, DetectionEvaluation):
        return [("AP50:95", measured.average_precision)]
    if isinstance(measured, MultilabelEvaluation):
        return [("micro F1", measured.micro_f1), ("whole sets that are right", measured.subset_accuracy)]
    return [("accuracy, audit share alone", measured.audit_accuracy)]


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
    if measured.unpredicted:
        yield (
            f"{measured.unpredicted} audit labels are left out: an older version scored their images, and "
            "they were labelled after this one was trained"
        )
    if measured.left_out:
        yield (
            f"{measured.left_out} audit labels are left out, because the model was trained on them before "
            "they joined the audit share; the next version can be judged on them"
        )
    if measured.audit_predictions:
        yield f"predictions on audit images: {measured.audit_predictions}"


def _classes(evaluation: Report) -> Table:
    from rich.table import Table

    from octospoon.domain.task_types.detection.estimates import DetectionEvaluation

    measured = evaluation.measured.evaluation
    rows = zip(evaluation.classes, measured.recall, strict=True)
    if not isinstance(measured, DetectionEvaluation):
        table = Table("class", "recall", "95 % interval", "audit labels")
        for name, recall in rows:
            table.add_row(name, *_shares(recall))
        return table
    table = Table("class", "AP50", "95 % interval", "recall", "95 % interval", "objects")
    for (name, recall), precision in zip(rows, measured.class_ap50, strict=True):
        table.add_row(name, *_shares(precision)[:2], *_shares(recall))
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
