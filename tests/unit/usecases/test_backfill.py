"""A backfill queues every object once, whenever its runs are killed, and one run keeps others out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes.clock import FakeClock
from fakes.images import FakeBackfills, FakeBacklog, FakeBucket, FakeUploads
from fakes.pool import FakeEntries, FakePool
from hypothesis import given, settings
from hypothesis import strategies as st

from octospoon.domain.errors import BadRequest, Conflict
from octospoon.domain.pool.backfill import Backfill, Pace
from octospoon.domain.pool.images import ImageRef, Prediction, StoredObject
from octospoon.usecases import backfill as usecase
from octospoon.usecases.backfill import RunBackfill, survey

PREDICTION = Prediction(1, "b" * 64, np.zeros(4, np.float32), np.array([0.5, 0.5], np.float32))


class Killed(BaseException):
    """Ends a run as SIGKILL does: no code of the run is executed afterwards."""


class World:
    """A bucket, a pool and a queue. `kill_at` ends a run at a call, before or after its effect."""

    def __init__(self, objects: int = 25) -> None:
        self.clock, self.bucket, self.uploads = FakeClock(), FakeBucket(), FakeUploads()
        self.pool, self.progress = FakePool(clock=self.clock), FakeBackfills()
        for number in range(objects):
            self.put(f"{number:03d}.jpg", modified=self.clock.now() - 100)
        self.calls, self.kill_at, self.runs, self.dead = 0, -1, 0, True

    def put(self, key: str, *, modified: float, size: int = 10) -> None:
        self.bucket.objects[key] = StoredObject(key, f"e-{key}", size, modified)

    def step(self) -> None:
        self.calls += 1
        if 0 < self.kill_at <= self.calls:
            raise Killed

    def run(self, rate: int = 4, prefix: str = "", since: float = 0.0, *, restart: bool = False) -> Backfill:
        self.runs += 1
        world = self

        class Mortal:
            """A port during whose calls a run may be killed."""

            def __init__(self, port: object) -> None:
                self.port = port

            def __getattr__(self, name: str) -> object:
                def call(*arguments: object) -> object:
                    world.step()
                    answer = getattr(self.port, name)(*arguments)
                    world.step()
                    return answer

                return call

        def sleep(seconds: float) -> None:
            assert seconds >= 0
            self.clock.time += seconds

        def waiting() -> int:
            self.step()
            self.score()
            return 0

        run = RunBackfill(
            Mortal(self.bucket),
            FakeEntries(self.pool),
            Mortal(self.uploads),
            Mortal(self.progress),
            self.clock,
            sleep,
            waiting,
            f"here:{self.runs}",
            is_dead=lambda _: self.dead,
        )
        return run(run.scope(prefix, since, restart=restart), Pace(rate))

    def score(self) -> None:
        """Let `score` work on whatever is queued."""
        for image in self.uploads.sent:
            self.pool.put_score(replace(image, sequencer="1"), PREDICTION)

    def queued(self) -> list[str]:
        return [image.key for image in self.uploads.sent]


def keys(count: int = 25) -> list[str]:
    return [f"{number:03d}.jpg" for number in range(count)]


def test_every_object_is_queued_once_in_order() -> None:
    world = World()

    progress = world.run()

    assert world.queued() == keys()
    assert (progress.finished, progress.queued) == (True, 25)
    assert world.uploads.sent[0] == ImageRef("000.jpg", "e-000.jpg", "", 10)


def test_known_bytes_folders_and_new_objects_are_left_out() -> None:
    world = World(4)
    world.pool.put_score(ImageRef("001.jpg", "e-001.jpg", "7", 10), PREDICTION)
    world.pool.put_score(ImageRef("002.jpg", "other bytes", "7", 10), PREDICTION)
    world.put("folder/", modified=1.0, size=0)
    world.put("later.jpg", modified=world.clock.now() + 1)

    world.run()

    assert world.queued() == ["000.jpg", "002.jpg", "003.jpg"]
    assert world.uploads.sent[1].sequencer == "7"


def test_only_a_prefix_and_a_time_are_queued() -> None:
    world = World(2)
    world.put("trip/old.jpg", modified=10.0)
    world.put("trip/new.jpg", modified=20.0)

    world.run(prefix="trip/", since=15.0)

    assert world.queued() == ["trip/new.jpg"]


def test_objects_are_queued_at_the_rate_asked_for() -> None:
    world = World(20)
    began = world.clock.now()

    world.run(rate=4)

    assert world.clock.now() - began == pytest.approx(4.0)  # the last four of 20 begin after four seconds


@settings(max_examples=50)
@given(st.lists(st.integers(1, 60), max_size=6), st.integers(1, 9), st.booleans())
def test_none_is_queued_twice_whenever_runs_are_killed(kills: list[int], rate: int, fast: bool) -> None:
    world = World()
    for kill in kills:
        world.calls, world.kill_at = 0, kill
        try:
            world.run(rate)
        except Killed:
            if fast:
                world.score()
            continue
        except BadRequest:  # the run before had finished
            break
    world.kill_at = -1
    if not world.progress.backfill.finished or world.runs == len(kills):
        world.score()
        world.run(rate)

    assert sorted(world.queued()) == keys()
    assert world.progress.backfill.finished


def test_a_second_run_is_kept_out_while_the_first_runs() -> None:
    world = World()
    world.dead = False
    scope = Backfill(
        1, world.clock.now(), finished=False, owner="there:7", lease_until=world.clock.now() + 20
    )
    world.progress.backfill = scope

    class Renewing(FakeBackfills):
        def read(self) -> Backfill:
            self.save(self.backfill, replace(self.backfill, lease_until=world.clock.now() + 20))
            return self.backfill

    world.progress = Renewing(scope)

    with pytest.raises(Conflict, match="there:7"):
        world.run()

    assert world.queued() == []


def test_the_lease_of_a_killed_run_ends_by_itself() -> None:
    world = World(3)
    world.dead = False
    began = world.clock.now()
    world.progress.backfill = Backfill(1, began, finished=False, owner="there:7", lease_until=began + 20)

    assert world.run().finished

    assert 20 <= world.clock.now() - began < 25
    assert world.queued() == keys(3)


def test_a_run_stops_when_another_has_taken_over() -> None:
    world = World()

    class Stolen(FakeUploads):
        def send_all(self, images: object) -> None:
            taken = world.progress.backfill
            world.progress.save(taken, replace(taken, owner="there:7"))

    world.uploads = Stolen()

    with pytest.raises(Conflict, match="taken over"):
        world.run()
    assert world.progress.backfill.owner == "there:7"


def test_another_scope_is_refused_until_the_first_is_forgotten() -> None:
    world = World()
    world.kill_at = 12
    with pytest.raises(Killed):
        world.run()
    world.kill_at = -1

    with pytest.raises(BadRequest, match="prefix ''"):
        world.run(prefix="trip/")

    assert world.run(prefix="trip/", restart=True).finished


def test_a_new_run_is_refused_while_the_queue_holds_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(3)
    world.run()
    monkeypatch.setattr(World, "score", lambda _: None)
    run = RunBackfill(
        world.bucket,
        FakeEntries(world.pool),
        world.uploads,
        world.progress,
        world.clock,
        lambda _: None,
        lambda: 3,
        "here:2",
    )

    with pytest.raises(BadRequest, match="3 uploads are still in the queue"):
        run.scope("", 0.0)


def test_objects_in_doubt_wait_for_an_empty_queue() -> None:
    world = World(3)
    world.progress.backfill = Backfill(1, world.clock.now(), sending_to="001.jpg", finished=False)

    def sleep(seconds: float) -> None:
        world.clock.time += seconds

    run = RunBackfill(
        world.bucket,
        FakeEntries(world.pool),
        world.uploads,
        world.progress,
        world.clock,
        sleep,
        lambda: 5,
        "here:2",
    )

    progress = run(run.scope("", 0.0), Pace(10))

    assert world.queued() == ["002.jpg"]
    assert not progress.finished
    assert progress.doubtful == (("", "001.jpg"),)
    assert progress.lease_until <= world.clock.now() + usecase.LEASE


def test_a_survey_counts_what_a_run_would_queue() -> None:
    world = World(5)
    world.pool.put_score(ImageRef("001.jpg", "e-001.jpg", "7", 10), PREDICTION)
    run = plain_run(world)

    counted = survey(run.pages(run.scope("", 0.0)))

    assert (counted.objects, counted.known, counted.images, counted.pages) == (5, 1, 4, 1)
    assert counted.megabytes == pytest.approx(40 / 1e6)
    assert [image.key for image in counted.sample] == ["002.jpg"]
    assert world.queued() == []
    assert world.progress.backfill == Backfill()


@pytest.mark.parametrize(
    ("prefix", "since", "seconds"), [("", 0.0, 0.0), ("", 15.0, 15.0), ("a/", 0.0, 99.0)]
)
def test_a_whole_backfill_leaves_no_backlog(prefix: str, since: float, seconds: float) -> None:
    world, backlog = World(1), FakeBacklog(99.0)
    run = replace(plain_run(world), backlog=backlog)

    run(run.scope(prefix, since), Pace(10))

    assert backlog.time == seconds


def plain_run(world: World) -> RunBackfill:
    return RunBackfill(
        world.bucket,
        FakeEntries(world.pool),
        world.uploads,
        world.progress,
        world.clock,
        lambda _: None,
        lambda: 0,
        "here:1",
    )


def test_ranges_in_doubt_that_touch_become_one() -> None:
    first = Backfill(cursor="a", sending_to="c", finished=False).resumed()
    second = replace(first, sending_to="d").resumed()

    assert first == Backfill(cursor="c", doubtful=(("a", "c"),), finished=False)
    assert second.doubtful == (("a", "d"),)
    assert replace(second, cursor="m", sending_to="n").resumed().doubtful == (("a", "d"), ("m", "n"))


def test_a_pause_is_not_caught_up_later() -> None:
    pace = Pace(10)

    assert pace.delay(10, 100.0) == 0.0
    assert pace.delay(10, 100.0) == pytest.approx(1.0)
    assert pace.delay(10, 500.0) == 0.0
    assert pace.delay(10, 500.5) == pytest.approx(0.5)
    assert (Pace(3).at_once, Pace(5000).at_once) == (3, 100)
