from __future__ import annotations

import pytest

from octospoon.cli.operations import run_now
from octospoon.usecases.reconcile_report import ReconcileReport


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let imports of labels start no training job."""
    monkeypatch.setattr(run_now, "reconcile", lambda _: ReconcileReport())
