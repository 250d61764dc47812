from __future__ import annotations

import signal
import time

import pytest
from unit.training.stack import JOB
from unit.training.test_stopped import during, labelled

from octospoon.domain.errors import PermanentError
from octospoon.domain.training.jobs import STOPPED, JobStatus
from octospoon.training.job import time_limit
from octospoon.training.job.run import run
from octospoon.training.job.time_limit import ended_after


def test_job_that_takes_too_long_fails_and_counts_as_lost() -> None:
    made = labelled()
    during(made, lambda: time.sleep(30))
    began = time.monotonic()

    with pytest.raises(PermanentError), ended_after(0.4):
        run(JOB, made.ports)

    assert time.monotonic() - began < 20
    state = made.control.state()
    assert state.status is JobStatus.FAILED
    assert "longer than the time limit of 0 seconds: raise TrainingTimeLimit" in state.reason
    assert state.reason != STOPPED, "a job that was stopped from outside starts again at once, for ever"
    assert state.lost_in_a_row() == 1


def test_job_ends_itself_before_its_platform_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []
    monkeypatch.setattr(signal, "setitimer", lambda kind, seconds: requests.append(seconds))
    with ended_after(3600):
        pass
    assert requests == [3600 - time_limit.MARGIN, 0]


def test_without_a_limit_no_timer_is_set() -> None:
    before = signal.getsignal(signal.SIGALRM)  # pytest's own
    with ended_after(0):
        assert signal.getsignal(signal.SIGALRM) == before
    with ended_after(60):
        assert signal.getsignal(signal.SIGALRM) != before
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before
