from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.domain.errors import BadRequest, NoProgress, ServiceUnavailable
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.pool.keys import SHARDS, day, shard
from octospoon.usecases.rescore import SILENT, SLICE, Reorder, RescorePool
from octospoon.usecases.rescore_segment import LONGEST, Segment, continuation, decode
from octospoon.usecases.rescore_walk import NewestFirst

BACKBONE = "b" * 64
IMAGES = 400
A_DAY = 86_400.0
GAP = 30


class Head:
    def __init__(self, seed: int) -> None:
        self.weights = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)

    def run(self, embedding):
        powers = np.exp(embedding @ self.weights)
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@dataclass
class World(FakeWorld):
    """A pool, a queue, and the use case as deployed with one strategy."""

    strategy: str = "margin"
    version: int = 1
    generation: int | None = None
    ago: tuple[int, ...] = (0,)
    days: int = 0
    page: int = 100
    look: int = 500

    def __post_init__(self) -> None:
        """Upload equally many images on each day of `ago`, which counts days before now."""
        super().__init__(time=500 * A_DAY)
        self.progress = self.rescoring
        self.written: list[str] = []
        self.read: list[str] = []
        self.days_read: list[str] = []
        now, rng = self.clock.time, np.random.default_rng(0)
        for i in range(IMAGES):
            self.clock.time = now - A_DAY * self.ago[i % len(self.ago)]
            self.upload(f"{i:04d}", rng)
        self.clock.time = now
        rescore, read_rows, uploaded = self.pool.rescore, self.pool.rows, self.pool.uploaded

        def logged_rescore(rows, predictions):
            self.written += [row.key for row in rows]
            return rescore(rows, predictions)

        def logged_rows(keys):
            self.read += keys
            return read_rows(keys)

        def logged_uploaded(shard, day, start, limit):
            self.days_read.append(day)
            return uploaded(shard, day, start, limit)

        self.requests: list[tuple[int, int]] = []
        self.no_answer = False
        self.pool.rescore, self.pool.rows, self.pool.uploaded = logged_rescore, logged_rows, logged_uploaded

    def upload(self, key: str, rng: np.random.Generator, generation: int = 0) -> None:
        embedding = rng.standard_normal(4).astype(np.float32)
        prediction = Prediction(generation, BACKBONE, embedding, None, generation)
        self.pool.put_score(ImageRef(key, "e", "1", 1), prediction)

    @property
    def order(self) -> str:
        return {"margin": "margin", "margin_diverse": "margin", "entropy": "entropy"}[self.strategy]

    def case(self) -> RescorePool:
        self.pool.strategy = self.strategy
        classes, generation = ("a", "b", "c"), self.version if self.generation is None else self.generation
        pointer = ChampionPointer(self.version, "a", "m", BACKBONE, "h", "c", classes, generation=generation)
        return self.build_rescore(
            lambda: (pointer, Head(self.version)),
            self.order,
            walk=NewestFirst(self.pool, self.clock, self.page, self.look, GAP),
            days=self.days,
            request_batch=self.request,
        )

    def request(self) -> None:
        self.requests.append(self.progress.progress())
        if self.no_answer:
            raise ServiceUnavailable("throttled")

    def work(self, deadline: float = 1e12) -> int:
        """Process every message of the queue; return how many there were."""
        processed = 0
        while self.queue:
            self.clock.time += 0.01
            self.case().segment(self.queue.pop(0), deadline)
            processed += 1
        return processed

    def arrivals(self, keys: list[str]) -> list[str]:
        return [self.pool.table[key].arrived for key in keys]

    def reorder(self) -> int:
        return Reorder(self.progress, self.queue.append, self.order, self.clock)(self.version)

    def check(self) -> None:
        """Check that the champion scored every selectable row."""
        head = Head(self.version)
        for row in self.pool.table.values():
            if row.state is State.SCORED:
                expected = head.run(row.prediction.embedding[np.newaxis])[0]
                assert row.prediction.model_version == self.version
                assert row.prediction.probabilities == pytest.approx(expected, abs=1e-6)


def test_new_champion_scores_every_row_once_and_reports_the_order() -> None:
    world = World()

    assert world.case().champion_changed() == SHARDS
    assert world.work() == SHARDS

    world.check()
    assert len(world.written) == IMAGES
    assert world.progress.progress() == (1, SHARDS)
    assert world.progress.orders() == dict.fromkeys(range(SHARDS), "margin")
    assert world.reorder() == 0, "nothing is left to do"

    world.version = 2
    world.case().champion_changed()
    world.work()
    world.check()
    assert len(world.written) == 2 * IMAGES


def test_pool_has_the_serving_versions_scores_after_a_rollback() -> None:
    world = scored()
    world.version = 2
    world.case().champion_changed()
    world.work()
    late = world.queue.copy()

    world.version, world.generation = 1, 3
    world.case().champion_changed()
    world.queue += late
    world.work()

    world.check()
    assert {row.prediction.generation for row in world.pool.table.values()} == {3}
    assert world.progress.progress() == (1, SHARDS)


def test_a_shard_with_embeddings_of_another_backbone_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    world = World(page=10, look=10)
    row = world.pool.table["0007"]
    row.prediction = replace(row.prediction, backbone="c" * 64)
    world.case().champion_changed()

    world.work(deadline=0.0)  # the row's page and the shard's end are in messages of their own

    assert world.progress.progress() == (1, SHARDS - 1)
    assert world.pool.table["0007"].prediction.model_version == 0
    assert len(world.written) == IMAGES - 1
    assert f"1 rows of shard {shard('0007')} have another backbone's embeddings" in caplog.text


def scored() -> World:
    world = World()
    world.case().champion_changed()
    world.work()
    world.written.clear()
    return world


def test_a_strategy_of_the_same_order_needs_no_rescan() -> None:
    world = scored()
    world.strategy = "margin_diverse"

    assert world.reorder() == 0
    assert world.queue == []


def test_a_strategy_of_another_order_rewrites_every_row_once() -> None:
    world = scored()
    world.strategy = "entropy"

    assert world.reorder() == SHARDS
    world.reorder()  # the next run of rank, before the first message was taken
    world.work()

    assert sorted(world.written) == sorted(world.pool.table)
    assert world.reorder() == 0
    best = max(
        world.pool.table.values(), key=lambda row: world.pool.doubt(row.prediction.probabilities).entropy
    )
    assert world.pool.table[world.pool.top(1)[0].key] is best


def test_interrupted_rescan_resumes_where_it_stopped() -> None:
    world = scored()
    world.strategy, world.page, world.look = "entropy", 10, 10
    world.reorder()
    sizes = np.bincount([shard(key) for key in world.pool.table], minlength=SHARDS)

    messages = world.work(deadline=0.0)  # every invocation has time for one page

    pages = sum(size // 10 + 1 for size in sizes)
    assert messages == SHARDS + pages + SHARDS * (GAP + 1) + pages, (
        "a look, the day, days without uploads, the rest"
    )
    assert sorted(world.written) == sorted(world.pool.table)
    assert world.reorder() == 0


def test_a_shard_whose_message_was_lost_is_queued_again() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    del world.queue[5]
    world.work()

    assert world.reorder() == 1
    world.work()
    assert world.reorder() == 0
    assert len(world.written) == IMAGES


def test_shard_at_work_gets_no_second_message_from_rank() -> None:
    world = scored()
    world.strategy, world.page, world.look = "entropy", 10, 10
    world.reorder()
    for _ in range(SHARDS - 1):
        world.case().segment(world.queue.pop(0), 0.0)
    waiting = list(world.queue)

    assert world.reorder() == SHARDS, "rank waits for all of them"
    assert len(world.queue) == len(waiting) + 1, "one shard was not at work yet"
    del world.queue[:]
    world.clock.time += SILENT + 1
    assert world.reorder() == SHARDS
    assert len(world.queue) == SHARDS, "the messages were lost"
    world.work()
    assert world.reorder() == 0


def test_going_back_half_way_leaves_no_shard_half_ordered() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    first, second = world.queue[:2]
    world.queue.clear()
    world.case().segment(first, 1e12)

    def dies(rows, predictions):
        raise RuntimeError

    rescore, world.pool.rescore = world.pool.rescore, dies
    with pytest.raises(RuntimeError):
        world.case().segment(second, 1e12)
    world.pool.rescore = rescore
    world.strategy = "margin"

    assert world.reorder() == 2
    assert world.progress.orders()[1] == ""


def test_taken_images_are_left_alone() -> None:
    world = scored()
    world.pool.claim(Pick("0007", "e", False, "margin", None, 0, None), 1, 9.0)
    world.strategy, world.version = "entropy", 2
    world.case().champion_changed()
    world.work()

    assert world.pool.table["0007"].prediction.model_version == 1
    world.check()


def test_messages_of_an_older_champion_and_of_somebody_else() -> None:
    world = scored()
    world.strategy = "entropy"
    world.reorder()
    world.version = 2

    world.work()

    assert world.written == []
    with pytest.raises(BadRequest, match="not a message of the rescore function"):
        world.case().segment("{}", 1e12)


def test_the_newest_uploads_are_scored_first_over_all_shards() -> None:
    world = World(ago=(0, 1, 2, 5), page=10, look=10)
    world.case().champion_changed()
    places: dict[int, list[tuple[int, int, float]]] = {number: [] for number in range(SHARDS)}
    while world.queue:  # a page each: the shards take generations
        message = decode(world.queue[0])
        places[message.shard].append(message.place)
        world.case().segment(world.queue.pop(0), 0.0)

    for walked in places.values():
        assert walked == sorted(set(walked)), "every message continues at a later place"

    world.check()
    assert len(world.written) == IMAGES
    assert sorted(world.read) == sorted(world.pool.table), "no row is read twice"
    for number in range(SHARDS):
        days = world.arrivals([key for key in world.written if shard(key) == number])
        assert days == sorted(days, reverse=True)
    halves = world.arrivals(world.written[: IMAGES // 2]), world.arrivals(world.written[IMAGES // 2 :])
    yesterday = day(world.clock.time - A_DAY)
    assert sum(arrived >= yesterday for arrived in halves[0]) > 0.9 * IMAGES / 2
    assert world.progress.progress() == (1, SHARDS)


def test_a_shard_of_one_look_asks_for_no_day() -> None:
    world = World(ago=(0, 400))
    world.case().champion_changed()

    world.work()

    world.check()
    assert world.days_read == []


def test_old_future_and_undated_uploads_are_reached_too() -> None:
    world = World(ago=(0, 25, 2 * GAP + 60, -2), page=10, look=10)
    for key in ("0000", "0001"):
        world.pool.table[key].arrived = ""
    world.case().champion_changed()

    world.work()

    world.check()
    assert len(world.written) == len(world.read) == IMAGES
    assert world.progress.progress() == (1, SHARDS)
    assert len(world.days_read) < SHARDS * (2 * GAP + 60), "what is asked for ends somewhere"


def test_late_writes_of_an_old_champion_are_rescored() -> None:
    world = World(ago=(0, 1, 2), page=10, look=10)
    world.case().champion_changed()
    rng = np.random.default_rng(1)
    for i in range(2000):
        if not world.queue:
            break
        world.case().segment(world.queue.pop(0), 0.0)
        if i == 6 * SHARDS:  # the newest day is done
            for late in range(40):
                world.upload(f"late {late:02d}", rng)

    world.work()

    world.check()
    assert len(world.written) == IMAGES + 40


def test_repeated_message_costs_only_reads() -> None:
    world = World(ago=(0, 1, 3), page=10, look=10)
    world.progress.order = dict.fromkeys(range(SHARDS), "margin")
    world.case().champion_changed()
    world.queue += world.queue
    rescore, world.pool.rescore = world.pool.rescore, lambda rows, predictions: 1 / 0  # type: ignore[return-value]
    dead = world.queue.copy()
    for body in dead[:SHARDS]:
        with pytest.raises(ZeroDivisionError):
            world.case().segment(body, 1e12)
    world.pool.rescore = rescore

    world.work(deadline=0.0)

    world.check()
    assert len(world.written) == IMAGES
    assert world.progress.progress() == (1, SHARDS)


def test_a_champion_of_the_middle_begins_with_the_newest_again() -> None:
    world = World(ago=(0, 1, 2), page=10, look=10)
    world.case().champion_changed()
    for _ in range(4 * SHARDS):
        world.case().segment(world.queue.pop(0), 0.0)
    world.written.clear()

    world.version = 2
    world.case().champion_changed()
    world.work(deadline=0.0)

    world.check()
    assert sorted(world.written) == sorted(world.pool.table)
    assert world.arrivals(world.written[:SHARDS]) == [day(world.clock.time)] * SHARDS


def test_a_strategy_that_changes_in_the_middle_begins_again() -> None:
    world = scored()
    world.strategy, world.page, world.look = "entropy", 10, 10
    world.reorder()
    for _ in range(3 * SHARDS):
        world.case().segment(world.queue.pop(0), 0.0)

    world.strategy = "margin"
    world.work(deadline=0.0)

    best = max(
        world.pool.table.values(), key=lambda row: world.pool.doubt(row.prediction.probabilities).margin
    )
    assert world.pool.table[world.pool.top(1)[0].key] is best
    assert world.progress.orders() == dict.fromkeys(range(SHARDS), "margin")
    late = world.written[-IMAGES:]
    assert sorted(late) == sorted(world.pool.table), "what was written for the other order is written again"


def test_only_the_days_that_are_wanted_are_scored() -> None:
    world = World(ago=(0, 1, 2, 9), page=10, look=10)
    world.case().champion_changed()
    world.work()
    world.version, world.days = 2, 2
    world.written.clear()
    yesterday = day(world.clock.time - A_DAY)

    world.case().champion_changed()
    world.work()

    assert len(world.written) == IMAGES / 2
    assert set(world.arrivals(world.written)) == {day(world.clock.time), yesterday}
    assert (world.progress.progress(), world.progress.oldest()) == ((2, SHARDS), yesterday)

    world.case().champion_changed(days=0)
    assert (world.progress.progress(), world.progress.oldest()) == ((2, 0), "")
    world.work()
    world.check()
    assert len(world.written) == IMAGES
    assert world.progress.progress() == (2, SHARDS)


def test_changed_priorities_are_written_for_any_number_of_days() -> None:
    world = World(ago=(0, 9), days=1)
    world.case().champion_changed()

    world.work()

    world.check()
    assert world.progress.orders() == dict.fromkeys(range(SHARDS), "margin")


def test_message_makes_room_for_other_shards_after_a_while() -> None:
    world = World(page=1, look=1)
    world.case().champion_changed()
    first = world.queue.pop(0)
    uploaded = world.pool.uploaded

    def slow(*args):
        world.clock.time += SLICE / 5
        return uploaded(*args)

    world.pool.uploaded = slow
    world.case().segment(first, 1e12)

    assert len(world.queue) == SHARDS
    assert 5 <= len(world.written) <= 7


@pytest.mark.parametrize("no_answer", [False, True])
def test_batch_is_requested_when_the_pool_has_the_champions_scores(no_answer: bool) -> None:
    world = World()
    world.no_answer = no_answer
    world.case().champion_changed()

    world.work()

    assert world.requests == [(world.version, SHARDS)]
    world.check()


@pytest.mark.parametrize("stuck", ["uploaded", "outdated"])
def test_shard_without_progress_stops_and_says_so(stuck: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(page=10, look=10)
    read = getattr(world.pool, stuck)

    def stays(*args):
        start = args[-2]
        return ([], start) if start >= 0 else read(*args)

    monkeypatch.setattr(world.pool, stuck, stays)
    world.case().champion_changed()
    stopped: list[str] = []
    while world.queue and len(stopped) <= SHARDS:
        try:
            world.case().segment(world.queue.pop(0), 0.0)
        except NoProgress as error:
            stopped.append(str(error))

    assert len(stopped) == SHARDS
    assert all("made no progress" in text and "`octospoon rescore` begins again" in text for text in stopped)


def test_chain_of_messages_ends_after_the_longest_time() -> None:
    world = World(page=10, look=10)
    world.case().champion_changed()
    for _ in range(SHARDS):
        world.case().segment(world.queue.pop(0), 0.0)
    began = [decode(body).since for body in world.queue]
    assert began == [world.clock.time] * SHARDS
    world.clock.time += LONGEST - 60
    world.case().segment(world.queue.pop(0), 0.0)
    assert decode(world.queue[-1]).since == began[0], "the beginning is kept"

    world.clock.time += 61
    with pytest.raises(NoProgress, match="shard 1 stopped: it took more than 7 days"):
        world.case().segment(world.queue.pop(0), 0.0)

    world.case().champion_changed()
    world.queue = world.queue[-SHARDS:]
    world.work()
    world.check()


def test_order_that_keeps_changing_ends_too() -> None:
    world = scored()
    world.page, world.look, world.strategy = 10, 10, "entropy"
    world.reorder()
    del world.queue[1:]

    def deployments() -> None:
        """Let two versions of the function take turns."""
        for turn in range(2000):
            world.strategy = ("entropy", "margin")[turn % 2]
            world.clock.time += LONGEST / 1000
            world.case().segment(world.queue.pop(0), 0.0)

    with pytest.raises(NoProgress):
        deployments()


def test_places_are_in_the_order_of_the_walk() -> None:
    first = Segment(1, 0)
    newest = Segment(1, 0, walked=True, day="2026-02-01")
    walk = [
        first,
        newest,
        msgspec.structs.replace(newest, start=0.5),
        msgspec.structs.replace(newest, day="2026-01-31"),
        msgspec.structs.replace(newest, day="2025-12-31", start=0.9),
        msgspec.structs.replace(newest, day=""),
        msgspec.structs.replace(newest, day="", start=0.1),
    ]
    for earlier, later in pairwise(walk):
        expected = msgspec.structs.replace(later, stale=3, since=9.0)
        assert continuation(earlier, later, 3, 9.0) == expected
        for late in (earlier, later):
            with pytest.raises(NoProgress):
                continuation(late, earlier, 0, 9.0)
