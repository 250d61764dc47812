"""Draws of imported labels, for people to confirm."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from fakes.imported_labels import FakeImportedLabels
from fakes.world import FakeWorld

from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.usecases.draw_audit import DrawAudit


def world_with(images: int) -> tuple[FakeWorld, DrawAudit]:
    world = FakeWorld()
    imports = FakeImportedLabels(world.labels)
    for i in range(images):
        prediction = Prediction(1, "b" * 64, np.zeros(4, np.float32), np.array([0.5, 0.5], np.float32))
        world.pool.put_score(ImageRef(f"{i}.jpg", "e", "1", 1), prediction)
    states = imports.states([f"{i}.jpg" for i in range(images)])
    imports.store([(state, "cat") for state in states.values()])
    return world, DrawAudit(imports, world.rounds, world.clock, 3, 2)


def test_drawn_images_are_a_blind_audit_round() -> None:
    world, draw = world_with(40)

    drawn = draw(10)

    assert (drawn.round_number, drawn.drawn, drawn.imported) == (1, 10, 40)
    round_ = world.rounds.open()
    assert round_ is not None
    assert round_.model_version == 3
    assert {(pick.audit, pick.blind, pick.strategy, pick.draw_probability) for pick in round_.picks} == {
        (True, True, IMPORTED, 0.25)
    }
    states = Counter(row.state for row in world.pool.table.values())
    assert states == {State.CLAIMED: 10, State.LABELLED: 30}
    assert world.control.state().new_labels == 30
    assert world.rounds.acquire(1, world.clock.now(), world.clock.now() + 1)  # `rank` can export it


def test_second_draw_takes_other_images() -> None:
    world, draw = world_with(40)
    draw(10)
    with pytest.raises(ServiceUnavailable, match="exporting a round now"):
        draw(10)
    world.rounds.close(1)

    drawn = draw(100)

    assert (drawn.drawn, drawn.imported) == (30, 30)
    assert {pick.key for pick in world.rounds.files[1].picks}.isdisjoint(
        pick.key for pick in world.rounds.files[2].picks
    )


def test_every_image_is_drawn_about_equally_often() -> None:
    times: Counter[str] = Counter()
    for number in range(200):
        world, draw = world_with(20)
        world.rounds.number = number
        draw(5)
        times.update(pick.key for pick in world.rounds.files[number + 1].picks)

    # binomial with 200 draws of probability 1/4: mean 50, standard deviation 6.1
    assert len(times) == 20
    assert all(abs(count - 50) < 4.5 * 6.1 for count in times.values())


def test_lost_race_changes_no_image() -> None:
    world, draw = world_with(5)
    world.rounds.begin = lambda round_: world.rounds.files.setdefault(1, None)

    with pytest.raises(ServiceUnavailable):
        draw(3)

    assert {row.state for row in world.pool.table.values()} == {State.LABELLED}


def test_nothing_imported_is_a_clear_refusal() -> None:
    with pytest.raises(BadRequest, match="import labels first"):
        world_with(0)[1](5)
