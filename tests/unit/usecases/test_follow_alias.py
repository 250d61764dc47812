from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.memory import FakeAlias, FakeChampions, FakeHistory

from octospoon.domain.errors import BadModel, BadRequest, Conflict
from octospoon.domain.model_spec import ChampionPointer
from octospoon.usecases.follow_alias import FollowAlias
from octospoon.usecases.serve import ServeVersion


class World:
    def __init__(self) -> None:
        self.alias, self.champions, self.history = FakeAlias(), FakeChampions(), FakeHistory()
        for version in range(4):
            sha = f"{version}" * 64
            self.champions.files[sha] = b"model"
            self.champions.keep(ChampionPointer(version, sha, f"models/{sha}", "b" * 64))
        self.serve = ServeVersion(self.champions)
        self.follow = FollowAlias(self.alias, self.champions, self.history, self.serve)

    @property
    def serving(self) -> int:
        return self.champions.current.version

    def stands(self, serving: int, alias: int | None, seen: int) -> None:
        self.champions.set(self.champions.versions[serving])
        self.alias.named, self.history.named = alias, seen


@pytest.fixture(name="world")
def made() -> World:
    return World()


def test_an_alias_that_a_person_moved_is_followed_once(world):
    world.stands(serving=3, alias=2, seen=3)
    assert world.follow() == 2
    assert (world.serving, world.history.alias(), world.alias.moves) == (2, 2, [])
    assert world.follow() == -1


def test_an_alias_that_stayed_behind_is_brought_along(world):
    world.stands(serving=3, alias=2, seen=2)  # the job died after it had moved the pointer
    assert world.follow() == -1
    assert (world.serving, world.alias.named, world.history.alias()) == (3, 3, 3)
    world.serve(1)  # a roll-back by command
    assert world.follow() == -1
    assert (world.serving, world.alias.named, world.history.alias()) == (1, 1, 1)


def test_a_person_who_moves_the_alias_right_after_a_promotion_is_heard(world):
    world.stands(serving=3, alias=3, seen=3)
    world.alias.named = 1
    assert world.follow() == 1
    assert world.serving == 1


def test_a_run_that_died_half_way_ends_the_same(world):
    world.stands(serving=2, alias=2, seen=3)  # served, not yet remembered
    assert world.follow() == -1
    assert (world.serving, world.history.alias()) == (2, 2)


def test_an_alias_that_was_never_set_is_set(world):
    world.stands(serving=2, alias=None, seen=-1)  # the first job died after it had moved the pointer
    assert world.follow() == -1
    assert (world.serving, world.alias.named, world.history.alias()) == (2, 2, 2)


def test_nothing_is_done_before_there_is_a_model_or_for_the_cold_start_model(world):
    assert world.follow() == -1
    world.stands(serving=0, alias=None, seen=-1)
    assert world.follow() == -1
    world.stands(serving=0, alias=2, seen=2)
    assert world.follow() == -1
    assert (world.serving, world.alias.moves) == (0, [])


def test_an_alias_never_seen_before_is_no_reason_to_change_the_model(world):
    world.stands(serving=3, alias=2, seen=-1)
    assert world.follow() == -1
    assert (world.serving, world.alias.named) == (3, 3)


def test_a_version_that_cannot_serve_leaves_the_other_in_service_and_says_so(world):
    world.stands(serving=3, alias=9, seen=3)
    with pytest.raises(BadRequest, match="no version 9"):
        world.follow()
    del world.champions.files["2" * 64]
    world.alias.named = 2
    with pytest.raises(BadModel):
        world.follow()
    assert (world.serving, world.history.alias()) == (3, 3)


def test_serving_what_is_served_changes_nothing(world):
    world.stands(serving=3, alias=3, seen=3)
    etag = world.champions.etag
    assert world.serve(3).version == 3
    assert world.champions.etag == etag


def test_a_pointer_that_moved_meanwhile_is_moved_all_the_same_and_not_for_ever(world):
    world.stands(serving=3, alias=3, seen=3)
    promote, failures = world.champions.promote, [1]
    world.champions.promote = lambda *wanted: False if failures and failures.pop() else promote(*wanted)
    assert world.serve(1).version == 1
    world.champions.promote = lambda *wanted: False
    world.champions.set(replace(world.champions.current, version=3))
    with pytest.raises(Conflict):
        world.serve(1)


def test_a_pointer_that_nobody_can_read_is_written_anew_as_the_alias_says(world):
    world.stands(serving=3, alias=2, seen=2)
    world.champions.unreadable = True
    assert world.follow() == 2
    assert (world.serving, world.history.alias()) == (2, 2)
    world.champions.unreadable, world.alias.named = True, None
    with pytest.raises(BadModel):
        world.follow()
    assert world.serve(1).version == 1
    assert world.serving == 1
