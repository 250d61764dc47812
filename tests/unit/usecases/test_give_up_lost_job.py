from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.training import FakePlatform
from unit.usecases.test_collect import World, message

from octospoon.domain.errors import Refused, ServiceUnavailable
from octospoon.domain.training.jobs import Fate, JobStatus
from octospoon.usecases.give_up_lost_job import GiveUpLostJob

JOB, NEXT = "train-000001", "train-000002"
LEASE = 3600.0
PULL = "AWS Batch says FAILED: CannotPullContainerError"
WAITS = "AWS Batch says RUNNABLE: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


class Launched(World):
    """A job that has been launched on a platform that can be asked."""

    def __init__(self) -> None:
        super().__init__(threshold=1)
        self.platform = FakePlatform()
        self.give_up = GiveUpLostJob(self.control, self.platform, self.clock)
        self.collect = replace(self.collect, lost_job=self.give_up, launch_lease=LEASE)
        assert self.collect(message(1)) == JOB

    def says(self, job: str, text: str, *, over: bool) -> None:
        self.platform.fates[job] = Fate(over, text)

    def next(self) -> str | None:
        """Return the job that the next run of reconcile launches."""
        self.clock.time += 1
        self.give_up()
        self.clock.time += 1
        return self.collect.launch_if_due()


def test_job_that_cannot_start_is_lost_before_its_lease_ends() -> None:
    world = Launched()
    world.says(JOB, PULL, over=True)

    assert world.next() == NEXT

    reason = f"job {JOB} failed: it ended while launching: {PULL}"
    assert world.control.state().reason == reason
    assert world.launcher.launched == [JOB, NEXT]
    assert world.control.state().lost_in_a_row() == 1


def test_jobs_that_never_start_come_back_ever_more_rarely() -> None:
    world, launch_times, days = Launched(), [], 7
    for _ in range(days * 24 * 4):  # reconcile, every 15 minutes
        world.says(world.control.state().job_id, PULL, over=True)
        world.clock.time += 900
        if world.next():
            launch_times.append(world.clock.time)

    assert len(launch_times) <= 8 + 4 * days
    assert launch_times[-1] - launch_times[-2] >= 6 * 3600


def test_job_that_waits_keeps_its_lease_and_then_says_why() -> None:
    world = Launched()
    world.says(JOB, WAITS, over=False)
    world.clock.time += LEASE - 10
    assert world.next() is None
    assert world.control.state().status is JobStatus.LAUNCHING

    world.clock.time += 20
    assert world.next() == NEXT
    assert world.control.state().reason == f"job {JOB} failed: its lease ran out while launching: {WAITS}"
    assert world.platform.stopped == [JOB], "it must not take a machine later"


def test_collect_asks_only_when_the_lease_has_run_out() -> None:
    world = Launched()
    world.says(JOB, PULL, over=True)
    world.clock.time += LEASE - 10
    assert world.collect.launch_if_due() is None
    assert world.control.state().status is JobStatus.LAUNCHING, "an answer of an annotator asks no platform"

    world.clock.time += 20
    world.collect.launch_if_due()
    assert PULL in world.control.state().reason


def test_a_dead_process_is_found_while_its_lease_lives() -> None:
    world = Launched()
    world.control.start(JOB, world.clock.now() + 1000)
    text = "AWS Batch says FAILED: OutOfMemoryError: Container killed: exit code 137"
    world.says(JOB, text, over=True)

    assert world.next() == NEXT
    assert world.control.state().reason == f"job {JOB} failed: it ended while running: {text}"


@pytest.mark.parametrize("fate", [None, Fate(over=False, text="AWS Batch says RUNNING")])
def test_job_that_may_come_to_its_end_is_left_alone(fate: Fate | None) -> None:
    world = Launched()
    world.control.start(JOB, world.clock.now() + 1000)
    if fate:
        world.platform.fates[JOB] = fate

    assert world.next() is None
    assert world.control.state().status is JobStatus.RUNNING
    assert world.platform.stopped == []


def test_a_job_that_ended_by_itself_is_not_lost() -> None:
    world = Launched()
    world.control.start(JOB, world.clock.now() + 1000)
    world.control.finish(JOB, "promoted")
    world.says(JOB, "AWS Batch says SUCCEEDED", over=True)

    assert world.next() is None
    assert world.control.state().reason == "promoted"
    assert world.collect(message(2)) == NEXT
    assert world.platform.stopped == []


@pytest.mark.parametrize("error", [ServiceUnavailable("no answer"), Refused("not authorized")])
def test_without_an_answer_the_lease_decides(
    error: ServiceUnavailable | Refused, caplog: pytest.LogCaptureFixture
) -> None:
    world = Launched()
    world.platform.error = error
    assert world.next() is None

    world.clock.time += LEASE
    assert world.next() == NEXT, "nobody waits for ever, and what is left of the job does no harm"
    assert world.control.state().reason == f"job {JOB} was lost: its lease ran out while launching"
    assert f"it is not known what became of {JOB}: {error}" in caplog.text
    assert f"what is left of {JOB} is not stopped: {error}" in caplog.text


def test_job_whose_launch_failed_is_stopped_in_any_case() -> None:
    world = Launched()
    world.control.abort(JOB, world.control.state(), "no answer")
    world.clock.time += 1

    assert world.collect.launch_if_due() == NEXT
    assert world.platform.stopped == [JOB]
