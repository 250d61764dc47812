from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes.world import FakeWorld

from octospoon.domain.errors import BadModel, ServiceUnavailable
from octospoon.domain.model_spec import ChampionPointer
from octospoon.usecases.champion import CurrentModel

if TYPE_CHECKING:
    from collections.abc import Callable


def pointer(version: int) -> ChampionPointer:
    return ChampionPointer(version, "a" * 64, "k", "b" * 64)


class World(FakeWorld):
    def __init__(self) -> None:
        super().__init__()
        self.bad: set[int] = set()
        self.loads: list[int] = []
        self.load_slowly: Callable[[ChampionPointer], str] | None = None
        self.model = CurrentModel(self.champions, self._load, self.clock, max_age=5.0)

    def _load(self, pointer: ChampionPointer) -> str:
        self.loads.append(pointer.version)
        if pointer.version in self.bad:
            raise BadModel("its checksum differs")
        if self.load_slowly:
            return self.load_slowly(pointer)
        return f"model {pointer.version}"


def test_the_newest_model_predicts_once_the_age_limit_has_passed() -> None:
    world = World()
    world.champions.set(pointer(1))
    assert world.model.get() == "model 1"

    world.champions.set(pointer(2))
    assert world.model.get() == "model 1"
    world.clock.time += 5
    assert world.model.get() == "model 2"
    world.clock.time += 5
    assert world.model.get() == "model 2"
    assert world.loads == [1, 2]


def test_bad_model_leaves_the_old_one_until_a_good_one() -> None:
    world = World()
    world.champions.set(pointer(1))
    world.model.get()
    world.bad = {2}
    world.champions.set(pointer(2))

    world.clock.time += 5
    assert world.model.get() == "model 1"
    world.champions.set(pointer(3))
    world.clock.time += 5
    assert world.model.get() == "model 3"


def test_s3_being_down_does_not_take_scoring_down() -> None:
    world = World()
    world.champions.set(pointer(1))
    world.model.get()
    world.champions.down = True
    world.clock.time += 5

    assert world.model.get() == "model 1"


@pytest.mark.parametrize("bad", [set(), {1}], ids=["no pointer", "only a bad model"])
def test_without_any_model_the_work_goes_back(bad: set[int]) -> None:
    world = World()
    world.bad = bad
    if bad:
        world.champions.set(pointer(1))

    with pytest.raises(ServiceUnavailable, match="init-model"):
        world.model.get()


def test_a_bad_model_is_not_fetched_again_and_again() -> None:
    world = World()
    world.champions.set(pointer(1))
    world.model.get()
    world.bad = {2}
    world.champions.set(pointer(2))

    for _ in range(4):
        world.clock.time += 5
        assert world.model.get() == "model 1"
    assert world.loads == [1, 2]


def test_cold_start_with_a_bad_model_uses_the_previous_one() -> None:
    world = World()
    world.bad = {2}
    world.champions.set(pointer(2).after(pointer(1)))

    assert world.model.get() == "model 1"
    world.champions.set(pointer(3).after(pointer(2)))
    world.clock.time += 5
    assert world.model.get() == "model 3"


def test_a_pointer_remembers_one_other_only() -> None:
    third = pointer(3).after(pointer(2).after(pointer(1)))

    assert third.previous == replace(pointer(2), generation=1)
    assert third.generation == 2
    assert pointer(1).after(third).generation == 3, "a roll-back is a generation of its own"
    assert pointer(1).after(None).previous is None


def test_old_model_is_never_served_after_the_refresh_interval() -> None:
    world = World()
    world.champions.set(pointer(1))
    world.model.get()
    loading, loaded = threading.Event(), threading.Event()

    def load_slowly(pointer: ChampionPointer) -> str:
        loading.set()
        assert loaded.wait(10)
        return f"model {pointer.version}"

    world.load_slowly = load_slowly
    world.champions.set(pointer(2))
    world.clock.time += 5
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(world.model.get)
        assert loading.wait(10)
        second = threads.submit(world.model.get)
        loaded.set()
        assert {first.result(), second.result()} == {"model 2"}
    assert world.loads == [1, 2]


def test_threads_that_start_together_load_once() -> None:
    world = World()
    world.champions.set(pointer(1))
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: world.model.get(), range(32))) == {"model 1"}
    assert world.loads == [1]


def test_first_model_predicts_at_once_even_after_an_earlier_request() -> None:
    world = World()
    with pytest.raises(ServiceUnavailable):
        world.model.get()
    world.champions.set(pointer(0))

    assert world.model.get() == "model 0"
