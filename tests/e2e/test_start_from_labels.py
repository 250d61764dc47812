"""A stack that starts from labels: it trains on them, people confirm some, a second import is a no-op."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from conftest import BATCH
from e2e.helpers import digit_label, digit_pictures, job_done, label_round

from octospoon.cli.operations import exports, label_audit
from octospoon.cli.operations.label_import import Options, import_labels
from octospoon.cli.operations.run_now import reconcile
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.imported import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.usecases.draw_audit import AuditDraw

pytestmark = pytest.mark.stack
PREFIX = "from-labels/"
INDICES = range(300, 320)
DRAWN = 4


def imported(deployment: Deployment) -> set[str]:
    labelled = deployment.pool_report.labelled()
    return {image.key for image in labelled if image.key.startswith(PREFIX) and not image.annotators}


def draw(deployment: Deployment) -> AuditDraw | None:
    try:
        drawn, note = label_audit.draw(deployment, DRAWN)
    except ServiceUnavailable:  # the schedule exports a round now
        return None
    assert note == ""
    return drawn


def test_imported_labels_train_and_people_confirm_some(stack: LocalStack, tmp_path: Path) -> None:
    deployment, photos = stack.deployment, tmp_path / "photos"
    for name, image in digit_pictures("", INDICES).items():
        file = photos / digit_label(name) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)
    jobs = deployment.control.state().jobs
    job_done(deployment, jobs)

    result = import_labels(deployment, photos, Options(prefix=PREFIX))
    # the schedule may choose some images before their labels arrive
    for_people = result.outcomes[Outcome.AUDIT]
    stored = len(INDICES) - for_people
    assert (result.stored, result.uploads, result.note) == (stored, len(INDICES), "")
    assert stored >= BATCH
    assert result.job == f"train-{jobs + 1:06d}"
    again = import_labels(deployment, photos, Options(prefix=PREFIX))
    assert (again.outcomes[Outcome.SAME], again.stored, again.uploads, again.job) == (stored, 0, 0, "")

    job_done(deployment, jobs + 1)
    reconcile(deployment, full=True)
    assert len(imported(deployment)) == stored

    drawn = wait_for("a draw between two rounds", lambda: draw(deployment))
    assert drawn.drawn == DRAWN
    assert len(imported(deployment)) == stored - DRAWN
    round_ = deployment.rounds.read(drawn.round_number)
    assert round_ is not None
    label_round(stack, round_)

    def all_answered() -> label_audit.Confirmed | None:
        confirmed = label_audit.confirmed(deployment)
        return confirmed if confirmed.answered == DRAWN else None

    assert wait_for("the answers to be counted", all_answered).right.value == 1.0
    exports.labels(deployment, tmp_path / "labels.csv")
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text("utf-8").splitlines()))
    ours = [row for row in rows if row["key"].startswith(PREFIX)]
    kinds = {(row["source"], row["selection"]) for row in ours}
    assert {("imported", "imported"), ("people", "audit")} <= kinds
    assert ("imported", "audit") not in kinds
    assert all(row["label"] == digit_label(row["key"]) for row in ours)
