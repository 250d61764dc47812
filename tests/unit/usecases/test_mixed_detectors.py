"""Batches from a pool that holds the boxes of several detectors, or of none for some images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.domain.batch.compose import NEVER, BatchRules
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import Pick

BACKBONE = "b" * 64
SECOND = ChampionPointer(2, "a" * 64, "m", BACKBONE, classes=("cat", "dog"), generation=2)
SIZE, AUDIT = 20, 4
IMAGES = 600


class World(FakeWorld):
    """The first detector doubts every image much more than the second, which has read some of them again.

    Args:
        read: images with boxes of the second detector.
        seen: images with boxes of the first detector; the others have none.
        images: in all.
    """

    def __init__(self, read: int, seen: int = IMAGES, images: int = IMAGES) -> None:
        super().__init__(task_type=DETECTION)
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        self.champions.set(SECOND)
        rng = np.random.default_rng(0)
        for i in range(images):
            generation = 2 if i < read else 1 if i < read + seen else 0
            score = 0.97 - 0.02 * rng.random() if generation == 2 else 0.5 + 0.1 * rng.random()
            boxes = np.array([[0.1, 0.1, 0.4, 0.4, score, 0.01]] * 2, np.float32)
            embedding = rng.normal(size=8).astype(np.float32)
            predicted = boxes if generation else None
            prediction = Prediction(generation, BACKBONE, embedding, predicted, generation)
            self.pool.put_score(ImageRef(f"{i:03d}.png", f"e{i}", "1", 10), prediction)

    def picks(self) -> list[Pick]:
        rules = BatchRules(SIZE, AUDIT / SIZE, rare_classes=NEVER)
        rank = self.build_rank(rules, "margin_diverse", days=14, max_open_tasks=20, refresh=lambda: 0)
        return list(rank.choose(SECOND).picks)

    def chosen(self) -> Counter[tuple[str, int]]:
        """Count the images that were not drawn, by their strategy and the detector that saw them."""
        return Counter(
            (pick.strategy, prediction.generation)
            for pick in self.picks()
            if not pick.audit and (prediction := self.pool.table[pick.key].prediction)
        )


def test_newest_detectors_images_fill_the_batch_alone() -> None:
    assert World(read=IMAGES // 2).chosen() == {("margin_diverse", 2): SIZE - AUDIT}


def test_few_images_of_the_newest_detector_leave_places_to_others() -> None:
    for read in (0, 30, 100):
        chosen = World(read=read).chosen()

        new = chosen["margin_diverse", 2]
        assert new + chosen["margin_diverse", 1] == SIZE - AUDIT
        assert read // 10 - 1 <= new <= read // 10, "ten candidates for a place, less those that are drawn"


def test_images_that_no_detector_saw_are_chosen_by_embeddings() -> None:
    chosen = World(read=40, seen=0).chosen()

    assert 3 <= chosen["margin_diverse", 2] <= 4
    assert chosen["typiclust", 0] == SIZE - AUDIT - chosen["margin_diverse", 2]


def test_every_kind_has_a_place_in_a_mixed_pool() -> None:
    chosen = World(read=50, seen=50).chosen()

    assert sum(chosen.values()) == SIZE - AUDIT
    assert set(chosen) == {("margin_diverse", 2), ("margin_diverse", 1), ("typiclust", 0)}


def test_small_pool_fills_the_batch_from_all_detectors() -> None:
    world = World(read=9, seen=6, images=18)

    assert sorted(pick.key for pick in world.picks()) == sorted(world.pool.table)


def test_drawn_images_do_not_depend_on_detectors() -> None:
    drawn = [{pick.key for pick in World(read=read).picks() if pick.audit} for read in (0, 100, IMAGES)]

    assert drawn[0] == drawn[1] == drawn[2]
    assert len(drawn[0]) == AUDIT


@pytest.mark.parametrize("strategy", ["margin", "typiclust"])
def test_pool_orders_by_detector_and_then_by_doubt(strategy: str) -> None:
    world = World(read=3, seen=3, images=6)
    world.pool.strategy = strategy

    top = world.pool.top(10)

    assert [int(image.key[:3]) < 3 for image in top] == [True] * 3 + [False] * 3
    assert [int(image.priority or 0) for image in top] == [2, 2, 2, 1, 1, 1]


def test_classes_keep_the_largest_kind_alone() -> None:
    world = World(read=0, seen=0)
    rng = np.random.default_rng(1)
    for i, row in enumerate(world.pool.table.values()):
        shares = np.array([0.5, 0.5], np.float32) + np.array([0.1, -0.1], np.float32) * np.float32(
            rng.random()
        )
        backbone = "n" * 64 if i < 200 else BACKBONE
        row.prediction = Prediction(1, backbone, rng.normal(size=8).astype(np.float32), shares, 1)
    world.task_type = world.pool.task_type = CLASSIFICATION
    rules = BatchRules(SIZE, 0.0, rare_classes=NEVER)
    rank = world.build_rank(rules, "margin_diverse", days=14, max_open_tasks=20, refresh=lambda: 0)
    pointer = replace(SECOND, head_key="h")

    backbones = {world.pool.table[pick.key].prediction.backbone for pick in rank.choose(pointer).picks}

    assert backbones == {BACKBONE}
