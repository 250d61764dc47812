from __future__ import annotations

import pytest
from fakes.memory import FakeChampions, FakeClock

from octospoon.domain.errors import BadModel, ServiceUnavailable
from octospoon.domain.model_spec import ChampionPointer
from octospoon.usecases.champion import CurrentModel


def pointer(version: int) -> ChampionPointer:
    return ChampionPointer(version, "a" * 64, "k", "b" * 64)


class World:
    def __init__(self) -> None:
        self.champions, self.clock = FakeChampions(), FakeClock()
        self.bad: set[int] = set()
        self.loads: list[int] = []
        self.model = CurrentModel(self.champions, self._load, self.clock, max_age=5.0)

    def _load(self, found: ChampionPointer) -> str:
        self.loads.append(found.version)
        if found.version in self.bad:
            raise BadModel("its checksum differs")
        return f"model {found.version}"


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


def test_a_bad_model_leaves_the_old_one_in_place_until_a_good_one_comes() -> None:
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
