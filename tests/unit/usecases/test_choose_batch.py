from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from fakes.world import FakeWorld

from octospoon.domain.batch.compose import NEVER, BatchRules
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import Round
    from octospoon.usecases.choose_batch import ChooseBatch

CLASSES = ("cat", "dog", "owl")
POINTER = ChampionPointer(1, "a" * 64, "m", "b" * 64, "h", "c" * 64, CLASSES)
COMMON, RARE, CLEAR = 250, 30, 500
LABELS = {"cat": 70, "dog": 28, "owl": 2}
SOUGHT = 8
"""So many of the ten images that are chosen by need are rare at least; some clusters have no rare image."""


class World(FakeWorld):
    """Images between cat and dog, and fewer between cat and owl, of which the model is a little surer.

    The others are clearly cats.
    """

    def __init__(self, rare: int = RARE, clear: int = CLEAR) -> None:
        super().__init__()
        self.champions.set(POINTER)
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        rng = np.random.default_rng(0)
        kinds = ["common"] * COMMON + ["rare"] * rare + ["clear"] * clear
        for i, kind in enumerate(kinds):
            row = {"common": (0.5 + rng.uniform(0, 0.01), 0.48, 0.01), "rare": (0.57, 0.01, 0.42)}.get(
                kind, (0.98, 0.01, 0.01)
            )
            embedding = rng.normal(size=8).astype(np.float32)
            probabilities = np.array(row, np.float32) / np.float32(sum(row))
            image = ImageRef(f"{kind}{i}.png", f"e{i}", "1", 10)
            self.pool.put_score(image, Prediction(1, "b" * 64, embedding, probabilities))

    def choose(self, **changes: object) -> ChooseBatch:
        rank = self.build_rank(
            BatchRules(20, 0.0), "margin_diverse", days=14, max_open_tasks=20, refresh=lambda: 0
        )
        return replace(rank.choose, **changes)


def rare(round_: Round) -> int:
    return sum(pick.key.startswith("rare") for pick in round_.picks)


def test_a_round_looks_for_rare_classes_while_classes_are_imbalanced() -> None:
    world = World()

    plain = world.choose(rules=BatchRules(20, 0.0, rare_classes=NEVER))(POINTER)
    seeking = world.choose(class_labels=lambda: LABELS)(POINTER)

    assert rare(plain) == 0
    assert SOUGHT <= rare(seeking) <= 10
    assert not plain.notes
    (note,) = seeking.notes
    assert "% of the images are cat" in note
    assert note.endswith("owl (2)")


def test_the_images_are_looked_for_beyond_the_most_uncertain() -> None:
    world = World()
    assert len(world.pool.top(200)) == 200
    assert not any(image.key.startswith("rare") for image in world.pool.top(200))

    assert rare(world.choose(class_labels=lambda: LABELS)(POINTER)) >= SOUGHT


def test_without_imbalance_or_by_the_setting_nothing_is_looked_for() -> None:
    world = World()
    rules = BatchRules(20, 0.0, rare_classes=NEVER)

    for round_ in (
        World(rare=COMMON, clear=0).choose(class_labels=lambda: LABELS)(POINTER),
        world.choose(class_labels=lambda: LABELS, rules=rules)(POINTER),
        world.choose(class_labels=lambda: LABELS, strategy="margin")(POINTER),
    ):
        assert rare(round_) == 0
        assert not round_.notes


def test_labels_count_for_the_classes_that_they_stand_for_now() -> None:
    world = World()
    history = ClassHistory(CLASSES).rename("owl", "bird", 1.0)
    labels = {"cat": 40, "dog": 30, "owl": 15, "bird": 25}

    assert "bird" not in world.choose(class_labels=lambda: labels, history=lambda: history)(POINTER).notes[0]
    seeking = world.choose(class_labels=lambda: LABELS, history=lambda: history)(POINTER)
    assert seeking.notes[0].endswith("bird (2)")
    assert rare(seeking) >= SOUGHT


def test_two_runs_choose_the_same_round() -> None:
    world = World()
    choose = world.choose(class_labels=lambda: LABELS)

    assert choose(POINTER).picks == choose(POINTER).picks
