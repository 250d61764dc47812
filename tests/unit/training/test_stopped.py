from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from unit.training.stack import JOB, World

from octospoon.domain.training.jobs import JobStatus
from octospoon.training.job import lease as lease_
from octospoon.training.job import run as job_
from octospoon.training.job.lease import LEASE_SECONDS
from octospoon.training.job.run import run

if TYPE_CHECKING:
    from collections.abc import Callable


def during(made: World, action: Callable[[], object]) -> None:
    """Call a function while the job trains."""

    def trainer(*_: object) -> object:
        return action()

    object.__setattr__(made.ports, "trainer", trainer)


def labelled() -> World:
    made = World()
    for index in range(8):
        made.label(index, "cat" if index % 2 else "dog", audit=index > 5)
    return made


@pytest.mark.parametrize("stop", [SystemExit(143), KeyboardInterrupt()])
def test_a_job_that_is_stopped_is_due_again_at_once(stop: BaseException) -> None:
    made = labelled()

    def stopped() -> None:
        raise stop

    during(made, stopped)
    with pytest.raises(type(stop)):
        run(JOB, made.ports)

    state = made.control.state()
    assert (state.status, state.reason) == (JobStatus.FAILED, "the job was stopped from outside")
    assert state.lease_until <= made.clock.now()


def test_a_job_that_fails_is_tried_again_later() -> None:
    made = labelled()

    def broken() -> None:
        raise RuntimeError("out of memory")

    during(made, broken)
    with pytest.raises(RuntimeError):
        run(JOB, made.ports)

    assert made.control.state().status is JobStatus.FAILED
    assert made.control.state().lease_until == made.clock.now() + LEASE_SECONDS


def test_lease_is_renewed_while_the_job_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(lease_, "LEASE_SECONDS", 0.2)
    made = labelled()
    leases = []

    def slow() -> None:
        leases.append(made.control.state().lease_until)
        made.clock.time += 1000
        time.sleep(0.3)
        leases.append(made.control.state().lease_until)
        raise SystemExit

    during(made, slow)
    with pytest.raises(SystemExit):
        run(JOB, made.ports)

    assert leases[1] >= leases[0] + 1000


def test_stopped_container_ends_its_entry_point_by_an_exception() -> None:
    code = (
        "import signal, time, octospoon.training.__main__ as m\n"
        "signal.signal(signal.SIGTERM, m._stopped)\n"
        "try:\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "except SystemExit:\n    print('told', flush=True)\n    raise\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as output:
        assert output.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        assert output.readline() == "told\n"
    assert child.wait(10) == 143
