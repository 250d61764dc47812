from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.pool import Row
from fakes.world import FakeWorld

from octospoon.domain.errors import BadModel, BadRequest, Conflict, OtherBackbone
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import State
from octospoon.usecases.sync_registry_alias import Followed

NOTHING, AT_ODDS = Followed(), Followed(at_odds=True)


class World(FakeWorld):
    def __init__(self) -> None:
        super().__init__()
        for version in range(4):
            sha = f"{version}" * 64
            self.champions.files[sha] = b"model"
            self.champions.keep(ChampionPointer(version, sha, f"models/{sha}", "b" * 64))
        self.serve, self.follow = self.build_promote(), self.build_sync_alias()

    @property
    def serving(self) -> int:
        return self.champions.current.version

    def given(self, serving: int, alias: int | None, last_seen: int) -> None:
        self.champions.set(self.champions.versions[serving])
        self.alias.named, self.history.named = alias, last_seen


@pytest.fixture(name="world")
def made() -> World:
    return World()


def test_an_alias_that_a_person_moved_is_followed_once(world):
    world.given(serving=3, alias=2, last_seen=3)
    assert world.follow() == Followed(2)
    assert (world.serving, world.history.alias(), world.alias.moves) == (2, 2, [])
    assert world.follow() == NOTHING


def test_an_alias_that_stayed_behind_is_brought_along(world):
    world.given(serving=3, alias=2, last_seen=2)  # the job died after it had moved the pointer
    assert world.follow() == NOTHING
    assert (world.serving, world.alias.named, world.history.alias()) == (3, 3, 3)
    world.serve(1)  # a roll-back by command
    assert world.follow() == NOTHING
    assert (world.serving, world.alias.named, world.history.alias()) == (1, 1, 1)


def test_alias_moved_right_after_a_promotion_takes_effect(world):
    world.given(serving=3, alias=3, last_seen=3)
    world.alias.named = 1
    assert world.follow() == Followed(1)
    assert world.serving == 1


def test_a_run_that_died_half_way_ends_the_same(world):
    world.given(serving=2, alias=2, last_seen=3)  # served, not yet remembered
    assert world.follow() == NOTHING
    assert (world.serving, world.history.alias()) == (2, 2)


def test_an_alias_that_was_never_set_is_set(world):
    world.given(serving=2, alias=None, last_seen=-1)  # the first job died after it had moved the pointer
    assert world.follow() == NOTHING
    assert (world.serving, world.alias.named, world.history.alias()) == (2, 2, 2)


def test_nothing_happens_without_a_model_or_with_cold_start(world):
    assert world.follow() == NOTHING
    world.given(serving=0, alias=None, last_seen=-1)
    assert world.follow() == NOTHING
    world.given(serving=0, alias=2, last_seen=2)
    assert world.follow() == NOTHING
    assert (world.serving, world.alias.moves) == (0, [])


def test_alias_seen_for_the_first_time_changes_no_model(world):
    world.given(serving=3, alias=2, last_seen=-1)
    assert world.follow() == NOTHING
    assert (world.serving, world.alias.named) == (3, 3)


def test_version_that_cannot_serve_is_reported_and_changes_nothing(world):
    world.given(serving=3, alias=9, last_seen=3)
    with pytest.raises(BadRequest, match="no version 9"):
        world.follow()
    del world.champions.files["2" * 64]
    world.alias.named = 2
    with pytest.raises(BadModel):
        world.follow()
    assert (world.serving, world.history.alias()) == (3, 3)


def test_serving_what_is_served_changes_nothing(world):
    world.given(serving=3, alias=3, last_seen=3)
    etag = world.champions.etag
    assert world.serve(3).version == 3
    assert world.champions.etag == etag


def test_concurrently_moved_pointer_is_retried_a_bounded_number_of_times(world):
    world.given(serving=3, alias=3, last_seen=3)
    promote, failures = world.champions.promote, [1]
    world.champions.promote = lambda *arguments: False if failures and failures.pop() else promote(*arguments)
    assert world.serve(1).version == 1
    world.champions.promote = lambda *arguments: False
    world.champions.set(replace(world.champions.current, version=3))
    with pytest.raises(Conflict):
        world.serve(1)


def test_unreadable_pointer_is_rewritten_from_the_alias(world):
    world.given(serving=3, alias=2, last_seen=2)
    world.champions.unreadable = True
    assert world.follow() == Followed(2)
    assert (world.serving, world.history.alias()) == (2, 2)
    world.champions.unreadable, world.alias.named = True, None
    with pytest.raises(BadModel):
        world.follow()
    assert world.serve(1).version == 1
    assert world.serving == 1


def other_backbone(world, version):
    known = world.champions.versions[version]
    world.champions.versions[version] = replace(known, backbone="c" * 64)
    world.pool.table["1.png"] = Row("e", "1", State.SCORED)


def test_version_of_another_backbone_needs_an_explicit_request(world, caplog):
    world.given(serving=3, alias=2, last_seen=3)
    other_backbone(world, 2)

    for times in (1, 2):
        assert world.follow() == AT_ODDS
        assert (world.serving, world.alias.moves, world.history.alias()) == (3, [], 3)
        assert caplog.text.count("`octospoon rescore --full`") == times, "once a run"
    assert "rollback --to 2 --new-backbone" in caplog.text
    with pytest.raises(OtherBackbone, match="--new-backbone"):
        world.serve(2)
    assert world.serving == 3

    world.serve(2, new_backbone=True)
    assert world.serving == 2
    assert world.follow() == NOTHING
    assert world.history.alias() == 2


def test_another_backbone_is_no_matter_where_there_are_no_images(world):
    world.given(serving=3, alias=2, last_seen=3)
    other_backbone(world, 2)
    world.pool.table.clear()
    assert world.follow() == Followed(2)


def test_version_deleted_from_the_registry_continues_to_serve(world, caplog):
    world.given(serving=3, alias=None, last_seen=3)  # its alias went with it
    world.alias.deleted = {3}

    assert world.follow() == AT_ODDS
    assert world.follow() == AT_ODDS
    assert caplog.text.count("version 3 is serving but was deleted from the registry") == 2
    assert (world.serving, world.history.alias()) == (3, 3)

    world.alias.named = 1  # a person chooses one that is there
    assert world.follow() == Followed(1)
    assert world.serving == 1


def test_alias_on_an_older_version_stays_after_serving_version_deletion(world):
    world.given(serving=3, alias=2, last_seen=2)
    world.alias.deleted = {3}
    assert world.follow() == AT_ODDS
    assert (world.serving, world.alias.named, world.history.alias()) == (3, 2, 2)
