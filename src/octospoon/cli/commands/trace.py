"""octospoon trace: one image's whole story, from its upload to the training runs that used it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.markup import escape

from octospoon.cli import tables
from octospoon.cli.operations import log_reasons
from octospoon.usecases.trace import TraceImage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.tasks import Annotation
    from octospoon.domain.pool.trace import Choice, Trace, Training, Upload


class Line(NamedTuple):
    """One event: when (epoch seconds, None where nobody kept it), what, and the particulars."""

    at: float | None
    what: str
    told: str


def trace(deployment: Deployment, key: str) -> Trace:
    """Return one image's story.

    Raises:
        BadRequest: there is no such image, or it was not scored yet; with what to do.
    """
    return TraceImage(
        records=deployment.records,
        bucket=deployment.image_versions,
        rounds=deployment.rounds,
        labels=deployment.labels,
        control=deployment.control,
        history=deployment.history,
        snapshots=deployment.snapshots,
        champions=deployment.champions,
        runs=deployment.runs,
        task_address=deployment.task_address,
        failure=partial(log_reasons.newest, deployment, "score"),
    )(key)


def show(deployment: Deployment, key: str, *, as_json: bool) -> None:
    """Print one image's story, as a table or as JSON."""
    found = trace(deployment, key)
    if as_json:
        tables.show_json(found)
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{found.key}: {found.state}", markup=False)
    tables.show(_table(found))
    for note in found.notes:
        console.print(note, markup=False)
    console.print(
        f"in the logs: {found.image}, as in `octospoon logs score --search '\"{found.image}\"'`", markup=False
    )


def _table(found: Trace) -> Table:
    table = tables.table("when (UTC)", "what", "particulars")
    for line in timeline(found):
        table.add_row(_when(line.at), line.what, escape(line.told))
    return table


def _when(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def timeline(found: Trace) -> list[Line]:
    """Return the story's events in the order in which they happened.

    One whose time nobody kept comes right after the one that it followed.
    """
    latest, timed = 0.0, []
    for line in (line for part in _parts(found) for line in part):
        latest = latest if line.at is None else line.at
        timed.append((latest, line))
    return [line for _, line in sorted(timed, key=lambda each: each[0])]


def _parts(found: Trace) -> Iterator[list[Line]]:
    for upload in found.uploads:
        yield list(_upload(upload))
    yield [Line(at, "deleted", "from the bucket") for at in found.deletions]
    yield [_choice(one) for one in found.choices]
    if found.export:
        told = f"task {found.export.task_id}, {found.export.address}"
        yield [Line(found.export.at, "exported", told)]
    yield [_annotation(one) for one in found.annotations]
    if found.label:
        one = found.label
        told = f"{one.label}, agreement {one.agreement:.0%} of {one.annotators}"
        yield [Line(one.at, "label settled", told)]
    if found.reason:
        yield [Line(found.quarantined_at, "quarantine", f"{found.reason}: {found.detail}")]
    yield [_training(one) for one in found.trainings]


def _upload(one: Upload) -> Iterator[Line]:
    version = f", version {one.version_id}" if one.version_id else ""
    seen = f", sequencer {one.sequencer}" if one.sequencer else ", never scored"
    listed = f", listed as {one.object_etag}" if one.object_etag else ""
    yield Line(one.at, "uploaded", f"etag {one.etag}{listed}{version}{seen}, id {one.image}")
    for score in one.scores:
        said = f": {score.label} {score.confidence:.1%}" if score.confidence is not None else ""
        yield Line(score.at, "scored", f"by version {score.model_version}{said}")
    if one.replaced_at is not None:
        task = f"task {one.task_id}" if one.task_id else ""
        was = ", ".join(part for part in (one.state, one.label, task, one.reason) if part)
        yield Line(one.replaced_at, "replaced", f"by newer bytes; was {was}")


def _choice(one: Choice) -> Line:
    pick = one.pick
    score = "" if pick.score is None else f", score {pick.score:.4f}"
    drawn = "" if pick.draw_probability is None else f", drawn with probability {pick.draw_probability:.3g}"
    audit = ", audit share" if pick.audit else ""
    model = f", by version {one.model_version}"
    return Line(
        one.at,
        "chosen",
        f"round {one.round_number}, rank {pick.rank}, {pick.strategy}{score}{drawn}{audit}{model}",
    )


def _annotation(one: Annotation) -> Line:
    said = "no answer (skipped, or not one class)" if one.label is None else one.label
    gone = ", deleted since" if one.deleted else ""
    at = datetime.fromisoformat(one.updated_at).timestamp() if one.updated_at else None
    return Line(at, "annotated", f"{said}, by annotator {one.annotator}, annotation {one.number}{gone}")


def _training(one: Training) -> Line:
    version = "" if one.model_version is None else f", version {one.model_version} {one.outcome}"
    run = f", {one.run}" if one.run else ""
    what = "judged on" if one.part == "audit" else "trained on"
    return Line(one.at, what, f"{one.job_id} ({one.part}) as {one.label}{version}, {one.snapshot}{run}")
