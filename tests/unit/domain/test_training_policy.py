from __future__ import annotations

import pytest

from octospoon.domain.entities import JobStatus, TrainingState
from octospoon.domain.training_policy import due, job_id

NOW = 1000.0


@pytest.mark.parametrize(
    ("status", "new_labels", "lease_until", "reason"),
    [
        (JobStatus.IDLE, 49, 0, None),
        (JobStatus.IDLE, 50, 0, "50 new labels"),
        (JobStatus.LAUNCHING, 500, NOW + 1, None),
        (JobStatus.RUNNING, 500, NOW, None),
        (JobStatus.RUNNING, 0, NOW - 1, "lost"),
        (JobStatus.LAUNCHING, 0, NOW - 1, "lost"),
        (JobStatus.FAILED, 0, NOW + 1, None),
        (JobStatus.FAILED, 0, NOW - 1, "failed: no disk"),
        (JobStatus.FAILED, 50, NOW + 1, "50 new labels"),
    ],
)
def test_when_training_is_due(status, new_labels, lease_until, reason):
    state = TrainingState(status, "train-000003", 3, new_labels, lease_until, "no disk")
    said = due(state, 50, NOW)
    assert (said is None) if reason is None else (said is not None and reason in said)


def test_every_job_has_an_id_of_its_own():
    assert job_id(TrainingState()) == "train-000001"
    assert job_id(TrainingState(jobs=41)) == "train-000042"
