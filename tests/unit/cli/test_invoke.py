"""The command line can read the report of every function."""

from __future__ import annotations

import msgspec
import pytest

from octospoon.cli.operations.run_now import WatchAnswer
from octospoon.domain.labelling.tasks import TaskCounts
from octospoon.usecases.rank import RankReport
from octospoon.usecases.reconcile_report import ReconcileReport


@pytest.mark.parametrize(
    "report",
    [
        RankReport(1, 10, 10, refreshed=2, tasks=TaskCounts(waiting=3)),
        RankReport(),
        ReconcileReport(),
        WatchAnswer(1, "none", ""),
    ],
)
def test_a_report_survives_its_way_to_the_command_line(report):
    assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
