"""Images that a new detector, or a new backbone, reads again."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.world import FakeWorld
from faults.world import Between, Died, Faults

from octospoon.domain.errors import BadRequest, NoProgress
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.pool.keys import SHARDS, day, shard
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection.task_type import DETECTION
from octospoon.usecases.read_again import FIRST, WAITS, share
from octospoon.usecases.rescore_segment import EVERY, LONGEST, decode_reading
from octospoon.usecases.rescore_walk import NewestFirst

if TYPE_CHECKING:
    from octospoon.usecases.rescore import RescorePool

BACKBONE = "b" * 64
CLASSES = ("red", "blue")
A_DAY = 86_400.0
REDELIVERY = 540.0
"""Seconds after which a message comes again that was not deleted."""


def boxes(seed: int) -> np.ndarray:
    """Return the boxes of an image, float32 [3, 6]."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((3, 2, 2)), axis=1).reshape(3, 4)
    return np.concatenate([corners, rng.uniform(0.1, 0.9, (3, 2))], axis=1).astype(np.float32)


@dataclass
class World(FakeWorld):
    """A pool with the boxes of version 1, and version 2 in service. `score` takes some images a second."""

    pool_size: int = 300
    ago: tuple[int, ...] = (0, 1, 2)
    limit: int = 20_000
    rate: float = 50.0
    version: int = 2
    generation: int = 2
    backbone: str = BACKBONE
    head: Any = None
    classes: tuple[str, ...] = CLASSES
    days: int = 0
    strategy: str = "margin"
    fails: set[str] = field(default_factory=set)
    before: ChampionPointer | None = None

    def __post_init__(self) -> None:
        super().__init__(time=500 * A_DAY)
        self.pool.task_type = DETECTION
        self.faults = Faults()
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        now = self.clock.time
        for i in range(self.pool_size):
            self.clock.time = now - A_DAY * self.ago[i % len(self.ago)]
            self.put(f"{i:04d}", 1)
        self.clock.time = now
        self.scored: list[str] = []
        self.waited: dict[str, float] = {}
        self.arrived: dict[str, float] = {}
        self.requests, self.work = 0, 0.0
        self.messages = 0

    def port(self, fake: Any) -> Any:
        return Between(fake, self.faults)

    def put(self, key: str, generation: int) -> None:
        seed = int(key.strip("new "))
        predicted = np.array([0.6, 0.4], np.float32) if self.head else boxes(seed)
        embedding = np.full(4, seed, np.float32)
        prediction = Prediction(generation, self.backbone, embedding, predicted, generation)
        self.pool.put_score(ImageRef(key, "e", "1", 100), prediction)

    def request(self) -> None:
        self.requests += 1

    def case(self) -> RescorePool:
        head_key = "h" if self.head else ""
        pointer = ChampionPointer(
            self.version, "a", "m", self.backbone, head_key, "", self.classes, self.before, self.generation
        )
        self.pool.strategy = self.strategy
        return self.build_rescore(
            lambda: (pointer, self.head),
            self.strategy,
            walk=NewestFirst(self.port(self.pool), self.clock, page=10, look=10, gap=20),
            images=self.limit,
            days=self.days,
            request_batch=self.request,
        )

    # -- what happens outside ----------------------------------------------------------------------

    def upload(self, key: str) -> None:
        """Queue a new upload behind everything that waits."""
        self.arrived[key] = self.clock.time
        self.uploads.sent.append(ImageRef(key, "e", "1", 100))

    def score(self, seconds: float) -> None:
        """Let `score` work for some seconds, on the first uploads of the queue."""
        self.work += seconds * self.rate
        began, per_image = self.clock.time, 1 / self.rate
        count = 0
        while self.uploads.sent and self.work >= 1:
            image = self.uploads.sent.pop(0)
            self.work -= 1
            count += 1
            if image.key in self.fails:
                continue
            self.scored.append(image.key)
            self.put(image.key, self.generation)
            if image.key in self.arrived:
                self.waited[image.key] = began + count * per_image - self.arrived.pop(image.key)
        if not self.uploads.sent:
            self.work = 0.0

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass; messages that are due wait in the queue."""
        self.score(seconds)
        self.clock.time += seconds
        due = sorted(entry for entry in self.later if entry[0] <= self.clock.time)
        self.later = [entry for entry in self.later if entry[0] > self.clock.time]
        self.queue += [body for _, body in due]

    def deliver(self, body: str) -> bool:
        """Hand a message to the function; return False if it died, so that the message comes again."""
        self.messages += 1
        case, deadline = self.case(), self.clock.time + 75
        try:
            if '"reading"' in body:
                case.reading(body, deadline)
            else:
                case.segment(body, deadline)
        except Died:
            self.later.append((self.clock.time + REDELIVERY, body))
            return False
        return True

    def run(self, seconds: float = 4 * 3600.0) -> float:
        """Work until no message is left; return the seconds that it took."""
        began = self.clock.time
        while (self.queue or self.later) and self.clock.time < began + seconds:
            for body in self.queue[:]:
                self.queue.remove(body)
                self.deliver(body)
            self.tick()
        assert not self.queue
        assert not self.later
        return self.clock.time - began

    def promoted(self, **options: Any) -> float:
        self.case().champion_changed(**options)
        return self.run()

    # -- what must hold ----------------------------------------------------------------------------

    def old(self) -> set[str]:
        """Return the selectable images with boxes of an earlier generation."""
        rows = self.pool.table.items()
        return {
            key
            for key, row in rows
            if row.state is State.SCORED and row.prediction and row.prediction.generation < self.generation
        }

    def arrivals(self, keys: list[str]) -> list[str]:
        return [self.pool.table[key].arrived for key in keys]


def test_images_are_read_once_and_the_newest_first() -> None:
    world = World()
    days = dict(zip(world.pool.table, world.arrivals(list(world.pool.table)), strict=True))

    world.promoted()

    assert not world.old()
    assert sorted(world.scored) == sorted(world.pool.table)
    for number in range(SHARDS):
        order = [days[key] for key in world.scored if shard(key) == number]
        assert order == sorted(order, reverse=True)
    assert world.rescoring.progress() == (2, SHARDS)
    assert world.requests == 1
    state = world.rereading.newest()
    assert state
    assert (state.version, state.shards, state.seen, state.left) == (2, SHARDS, world.pool_size, 0)


def test_nothing_is_read_before_scorers_know_the_new_model() -> None:
    world = World()
    world.case().champion_changed()
    for body in world.queue:
        world.case().segment(body, 1e12)

    assert not world.uploads.sent
    assert {due for due, _ in world.later} == {world.clock.time + FIRST}


def test_bound_holds_for_a_second_run_too() -> None:
    world = World(limit=100)
    newest = {key for key in world.pool.table if world.pool.table[key].arrived == day(world.clock.time)}
    world.promoted()

    assert len(world.scored) == 100
    assert len(newest & set(world.scored)) > 80, "shards have nearly as many images as each other"
    assert world.rescoring.progress() == (2, SHARDS)

    world.promoted()
    assert len(world.scored) == 100
    world.promoted(images=EVERY)
    assert sorted(world.scored) == sorted(world.pool.table), "a person may have the rest read"


def test_nothing_is_read_if_the_bound_is_zero(caplog: pytest.LogCaptureFixture) -> None:
    world = World(limit=0)

    world.promoted()

    assert not world.scored
    assert world.rescoring.progress() == (2, 0)
    assert "`octospoon rescore --full`" in caplog.text
    world.promoted(images=EVERY)
    assert not world.old()


@pytest.mark.parametrize(("limit", "parts"), [(0, 0), (5, 5), (20_000, 20_000), (33, 33)])
def test_shares_of_shards_sum_to_the_bound(limit: int, parts: int) -> None:
    assert sum(share(limit, number) for number in range(SHARDS)) == parts
    assert share(EVERY, 3) == EVERY


def test_a_function_that_dies_at_any_step_loses_nothing() -> None:
    world = World(pool_size=60, limit=40)
    world.promoted()
    calls = world.faults.at
    expected = set(world.scored)
    assert calls > 200

    for at in range(1, calls, 17):
        world = World(pool_size=60, limit=40)
        world.case().champion_changed()
        world.faults.plan, world.faults.at = {at: world.faults.die}, 0
        world.run()

        assert set(world.scored) == expected, f"died at call {at}"
        assert max(Counter(world.scored).values()) <= 2
        assert world.rescoring.progress() == (2, SHARDS)


def test_a_fan_out_that_dies_is_repeated_whole() -> None:
    for at in itertools.count(1):
        world = World(pool_size=60)
        world.faults.plan = {at: world.faults.die}
        try:
            world.case().champion_changed()
        except Died:
            world.case().champion_changed()
            world.run()
            assert not world.old()
        else:
            break
    assert at > SHARDS


@pytest.mark.parametrize("seed", range(5))
def test_repeated_late_and_reordered_messages_change_nothing(seed: int) -> None:
    world, rng = World(pool_size=120, limit=60), np.random.default_rng(seed)
    world.case().champion_changed()
    old: list[str] = []
    while world.queue or world.later:
        rng.shuffle(world.queue)
        for body in world.queue[:]:
            world.queue.remove(body)
            world.deliver(body)
            old.append(body)
            if rng.random() < 0.3:
                world.deliver(body)  # at once
            if rng.random() < 0.2:
                world.deliver(old[int(rng.integers(len(old)))])  # late
        world.tick()

    once = World(pool_size=120, limit=60)
    once.promoted()
    assert set(world.scored) == set(once.scored)
    assert len(world.scored) <= 1.5 * len(once.scored)


def test_newer_promotion_ends_the_run_before() -> None:
    world = World(pool_size=1000, rate=5.0)
    world.case().champion_changed()
    for _ in range(60):
        for body in world.queue[:]:
            world.queue.remove(body)
            world.deliver(body)
        world.tick()
    before = len(world.scored)
    assert 0 < before < 500

    world.version, world.generation, world.rate = 3, 3, 200.0
    world.promoted()

    assert not world.old()
    assert world.rescoring.progress() == (3, SHARDS)
    assert len(world.scored) <= before + 1000 + 16 * 20, "images that waited were of the new model at once"


def test_roll_back_is_read_like_a_promotion() -> None:
    world = World(pool_size=60)
    world.promoted()
    world.version, world.generation = 1, 3

    world.promoted()

    assert {row.prediction.generation for row in world.pool.table.values() if row.prediction} == {3}


@pytest.mark.parametrize("rate", [3.0, 100.0])
def test_new_uploads_wait_for_seconds_at_any_speed(rate: float) -> None:
    """The longest wait is at the start, before the speed is known."""
    world = World(pool_size=2000, rate=rate, ago=(0,))
    world.case().champion_changed()
    for second in range(300):
        if second % 5 == 0:
            world.upload(f"new {second}")
        for body in world.queue[:]:
            world.queue.remove(body)
            world.deliver(body)
        world.tick()

    waits = sorted(world.waited.values())
    late = [world.waited[f"new {second}"] for second in range(100, 250, 5)]
    print(f"{rate:g} a second: {len(world.scored)} read; longest wait {waits[-1]:.0f}, later {max(late):.0f}")
    assert waits[-1] < max(30.0, 10 * SHARDS / rate + 10)
    assert max(late) < 30


def test_backlog_of_new_uploads_delays_and_loses_nothing() -> None:
    world = World(pool_size=160, rate=2.0)
    for i in range(900):
        world.upload(f"new {i}")

    world.promoted()

    assert not world.old()
    assert max(Counter(world.scored).values()) <= 2, "they are queued once more at most"


def test_images_that_fail_are_passed_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    world = World(fails={"0003", "0050"})

    seconds = world.promoted()

    assert world.old() == {"0003", "0050"}
    assert seconds < 5 * sum(WAITS)
    state = world.rereading.newest()
    assert state
    assert (state.shards, state.left) == (SHARDS, 2)
    assert SHARDS - 2 <= world.rescoring.progress()[1] < SHARDS
    assert "`octospoon dlq list`" in caplog.text


def test_images_that_left_the_pool_are_not_read() -> None:
    world = World()
    world.pool.table["0007"].state = State.LABELLED
    world.pool.put_quarantine(ImageRef("0008", "other", "2", 1), "empty", "")

    world.promoted()

    assert not {"0007", "0008"} & set(world.scored)
    assert world.rescoring.progress() == (2, SHARDS)


def test_images_that_wait_for_an_answer_are_read() -> None:
    world = World()
    rows = world.pool.table
    for key in rows:
        world.pool.claim(Pick(key, "e", False, "margin", None, 0, None), 1, 9.0)
        if int(key) % 2:
            world.pool.mark_exported(key, 1, int(key))
    states = {key: row.state for key, row in rows.items()}

    world.promoted()

    assert sorted(world.scored) == sorted(rows)
    assert {row.prediction.generation for row in rows.values() if row.prediction} == {2}
    assert {key: row.state for key, row in rows.items()} == states
    assert world.rescoring.progress() == (2, SHARDS)
    world.promoted()
    assert len(world.scored) == world.pool_size, "once"


def test_an_answer_meanwhile_holds_up_nothing() -> None:
    world = World()
    for key in world.pool.table:
        world.pool.claim(Pick(key, "e", False, "margin", None, 0, None), 1, 9.0)
    world.case().champion_changed()
    while len(world.scored) < 50:
        for body in world.queue[:]:
            world.queue.remove(body)
            world.deliver(body)
        world.tick()
    for key in set(world.pool.table) - set(world.scored):
        world.pool.table[key].state = State.LABELLED

    seconds = world.run()

    assert seconds < sum(WAITS), "no image is waited for in vain"
    assert world.rescoring.progress() == (2, SHARDS)
    assert {
        row.prediction.generation
        for key, row in world.pool.table.items()
        if row.state is State.LABELLED and row.prediction
    } == {1}


def test_only_the_days_that_are_wanted_are_read() -> None:
    world = World(days=2)

    world.promoted()

    days = {world.pool.table[key].arrived for key in world.old()}
    assert days == {day(world.clock.time - 2 * A_DAY)}
    assert world.rescoring.progress() == (2, SHARDS)


def test_old_and_undated_uploads_are_reached_by_the_index() -> None:
    world = World(ago=(0, 200, 400))
    for key in ("0000", "0001"):
        world.pool.table[key].arrived = ""

    world.promoted()

    assert not world.old()


class Head:
    """A head whose probabilities depend on the embedding alone."""

    def run(self, embedding: np.ndarray) -> np.ndarray:
        first = 1 / (1 + embedding[:, :1] ** 2)
        return np.concatenate([first, 1 - first], axis=1).astype(np.float32)


def test_classifier_reads_the_images_of_another_backbone_alone() -> None:
    world = World(pool_size=60)
    others = [f"{i:04d}" for i in range(0, 60, 7)]
    for i, (key, row) in enumerate(world.pool.table.items()):
        shares = np.array([0.6, 0.4], np.float32)
        backbone = "c" * 64 if key in others else BACKBONE
        row.prediction = Prediction(1, backbone, np.full(4, i, np.float32), shares, 1)
    world.pool.task_type, world.head = CLASSIFICATION, Head()

    world.promoted()

    assert sorted(world.scored) == others
    assert not world.old()
    assert world.rescoring.progress() == (2, SHARDS)


@pytest.mark.parametrize("on_request", [False, True])
def test_classifier_reads_images_that_wait_for_an_answer(on_request: bool) -> None:
    other = "c" * 64
    world = World(pool_size=60)
    for i, (key, row) in enumerate(world.pool.table.items()):
        shares = np.array([0.6, 0.4], np.float32)
        row.prediction = Prediction(1, other, np.full(4, i, np.float32), shares, 1)
        world.pool.claim(Pick(key, "e", False, "margin", None, 0, None), 1, 9.0)
    world.pool.task_type, world.head = CLASSIFICATION, Head()
    if not on_request:
        world.before = ChampionPointer(1, "b", "n", other, "h", "", CLASSES)

    world.promoted(images=EVERY if on_request else None)

    assert sorted(world.scored) == sorted(world.pool.table)
    assert world.rescoring.progress() == (2, SHARDS)


def test_cold_start_models_images_are_read_on_request_alone() -> None:
    world = World(pool_size=60, classes=())
    for row in world.pool.table.values():
        assert row.prediction
        row.prediction = Prediction(0, "c" * 64, row.prediction.embedding, None, 0)

    assert world.case().champion_changed() == 0
    world.promoted(images=EVERY)

    assert sorted(world.scored) == sorted(world.pool.table)
    assert world.rescoring.progress() == (-1, 0), "no model with classes was in service"


def test_another_order_is_written_from_the_stored_boxes() -> None:
    world = World(pool_size=60, limit=0, generation=1, version=1)
    before = {key: row.prediction for key, row in world.pool.table.items()}
    world.strategy = "entropy"

    world.promoted()

    assert world.rescoring.orders() == dict.fromkeys(range(SHARDS), "entropy")
    for key, row in world.pool.table.items():
        assert row.prediction
        assert before[key]
        assert row.prediction.probabilities == pytest.approx(before[key].probabilities)
        assert row.prediction.generation == 1
    assert not world.scored


def test_shard_whose_walk_stays_in_place_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(pool_size=60)
    world.case().champion_changed()
    for body in world.queue:
        world.case().segment(body, 1e12)

    def stays(*_: object) -> tuple[list[str], float]:
        world.clock.time += 1.0
        return [], -1.0

    monkeypatch.setattr(world.pool, "uploaded", stays)
    with pytest.raises(NoProgress, match="made no progress at"):
        world.case().reading(world.later[0][1], world.clock.time + 75)


def test_messages_without_end_or_sense_are_refused() -> None:
    world = World(pool_size=60)
    world.case().champion_changed()
    for body in world.queue:
        world.case().segment(body, 1e12)
    (_, first), *_ = world.later
    with pytest.raises(BadRequest, match="not a message of the rescore function"):
        world.case().reading("{}", 1e12)

    world.clock.time += LONGEST + 1
    with pytest.raises(NoProgress, match=r"more than 7 days\. `octospoon rescore --full --yes`"):
        world.case().reading(first, 1e12)
    assert decode_reading(first).at.generation == 2
