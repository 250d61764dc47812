"""Batches and predictions where a label is a list of boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.label_studio import FakePredictions
from fakes.world import FakeWorld

from octospoon.domain.batch.class_share import examples
from octospoon.domain.batch.compose import ALWAYS, NEVER, BatchRules
from octospoon.domain.batch.limits import Limits
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, PoolRow, Prediction, State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.detection import DETECTION
from octospoon.usecases.refresh_predictions import RefreshPredictions

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.model_spec import ChampionPointer as Pointer
    from octospoon.usecases.rescore import Head

BACKBONE = "b" * 64
CLASSES = ("cat", "dog")
DETECTOR = ChampionPointer(1, "a" * 64, "m", BACKBONE, classes=CLASSES)
COLD = ChampionPointer(0, "a" * 64, "m", BACKBONE)
IMAGES = 200


def seen(*scores: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Return a box with these scores of cat and dog for each pair, and an unused row."""
    rows = [[0.1 * at, 0.1, 0.1 * at + 0.3, 0.6, *pair] for at, pair in enumerate(scores)]
    return np.array([*rows, [0.0] * 6], np.float32)


def no_head(pointer: Pointer) -> tuple[Pointer, Head | None]:
    pytest.fail(f"version {pointer.version} has no head to open")


class World(FakeWorld):
    """Every tenth image has two boxes that may be wrong; the others have one that is right."""

    def __init__(self, pointer: ChampionPointer = DETECTOR) -> None:
        super().__init__(task_type=DETECTION)
        self.predictions = FakePredictions(self.labeler)
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        self.champions.set(pointer)
        rng = np.random.default_rng(0)
        for i in range(IMAGES):
            boxes = self.boxes(i)
            prediction = Prediction(
                pointer.version,
                BACKBONE,
                rng.normal(size=8).astype(np.float32),
                boxes if pointer.predicts else None,
            )
            self.pool.put_score(ImageRef(f"{i:03d}.png", f"etag{i}", "1", 10), prediction)
        self.refresh = RefreshPredictions(
            self.predictions, self.pool, self.rounds, self.champions, no_head, self.clock, DETECTION
        )
        self.rank = self.build_rank(
            BatchRules(20, 0.2, rare_classes=NEVER),
            "margin_diverse",
            days=14,
            max_open_tasks=20,
            refresh=self.refresh,
        )

    @staticmethod
    def unsure(i: int) -> bool:
        return i % 10 == 0

    def boxes(self, i: int) -> npt.NDArray[np.float32]:
        """Return what the detector sees: of the unsure images, every second one is most likely a dog."""
        if not self.unsure(i):
            return seen((0.97, 0.01))
        return seen((0.5, 0.1), (0.1, 0.45)) if i % 20 else seen((0.1, 0.5), (0.45, 0.1))

    def chosen(self, **rules: object) -> Round:
        pointer, _ = self.champions.pointer()  # type: ignore[misc]
        choose = replace(self.rank.choose, rules=BatchRules(20, 0.2, **rules))
        return replace(choose, class_labels=lambda: {"cat": 90, "dog": 2})(pointer)

    def doubtful(self, round_: Round) -> int:
        picks = [pick for pick in round_.picks if not pick.audit]
        return sum(self.unsure(int(pick.key[:3])) for pick in picks)


def test_the_first_batch_needs_embeddings_alone() -> None:
    world = World(COLD)

    report = world.rank()

    assert (report.exported, report.refreshed) == (20, 0)
    picks = world.rounds.files[1].picks
    assert {pick.strategy for pick in picks if not pick.audit} == {"typiclust"}
    assert not any(world.labeler.predictions.values())


def test_later_batches_take_images_with_doubtful_boxes() -> None:
    world = World()

    world.rank()

    round_ = world.rounds.files[1]
    assert {pick.strategy for pick in round_.picks if not pick.audit} == {"margin_diverse"}
    assert world.doubtful(round_) >= 8, "a tenth of the pool is doubtful"


def test_annotators_see_the_boxes_of_images_that_are_not_blind() -> None:
    world = World()

    world.rank()

    for pick in world.rounds.files[1].picks:
        (id_,) = (id_ for id_, task in world.labeler.tasks.items() if task.key == pick.key)
        (expected,) = DETECTION.predicted(world.boxes(int(pick.key[:3]))[np.newaxis], CLASSES)
        assert world.labeler.predictions[id_] == ([] if pick.blind else [("v1", expected.label)])


def test_open_tasks_get_the_boxes_that_the_pool_has() -> None:
    world = World()
    world.rank()
    shown = {id_ for id_, given in world.labeler.predictions.items() if given}
    again = next(task for id_, task in world.labeler.tasks.items() if id_ in shown)
    stale = next(task for id_, task in world.labeler.tasks.items() if id_ in shown and task is not again)
    world.pool.table[again.key].prediction = Prediction(
        2, BACKBONE, np.zeros(8, np.float32), seen((0.01, 0.9))
    )
    other = Prediction(0, BACKBONE, np.zeros(8, np.float32), None)
    world.pool.table[stale.key].prediction = other
    world.champions.set(replace(DETECTOR, version=2))

    assert world.refresh() == len(shown) - 1
    assert world.labeler.model_version == "v2"
    for id_, given in world.labeler.predictions.items():
        versions = [version for version, _ in given]
        fresh = id_ in shown and world.labeler.tasks[id_] is not stale
        assert versions == (["v1", "v2"] if fresh else ["v1"] if id_ in shown else [])
        if world.labeler.tasks[id_] is again:
            assert given[-1] == ("v2", '[["dog",0.0,0.1,0.3,0.6]]')
    assert world.refresh() == 0, "once"


def test_boxes_of_an_older_class_list_are_not_shown() -> None:
    world = World()
    world.champions.set(replace(DETECTOR, version=2, classes=("cat", "dog", "owl")))

    world.rank()

    assert not any(world.labeler.predictions.values())


def test_batches_look_for_classes_with_few_boxes() -> None:
    world = World()

    plain, seeking = world.chosen(rare_classes=NEVER), world.chosen(rare_classes=ALWAYS)

    assert not plain.notes
    (note,) = seeking.notes
    assert note.endswith("classes with few labels: dog (2)")


def test_a_class_quota_counts_the_surest_box() -> None:
    world = World()
    round_ = world.chosen(limits=Limits(class_quota=0.5), rare_classes=NEVER)
    dogs = [pick for pick in round_.picks if not pick.audit and int(pick.key[:3]) % 20 == 0]
    assert len(dogs) == 8, "half of the strategy's images, though nine of ten in the pool are cats"


def test_an_added_class_is_looked_for_by_its_boxes() -> None:
    history = ClassHistory(CLASSES).add(["owl"], 1.0)
    names = ("cat", "dog", "owl")

    def row(key: str, *boxes: list[float]) -> PoolRow:
        predicted = np.array([[0.1, 0.1, 0.4, 0.4, *scores] for scores in boxes], np.float32).reshape(-1, 7)
        return PoolRow(key, f"e{key}", State.SCORED, 1, BACKBONE, np.zeros(8, np.float32), predicted)

    rows = [row("1", [0.9, 0.0, 0.1]), row("2", [0.2, 0.0, 0.0], [0.0, 0.1, 0.6]), row("3")]

    found = examples(rows, names, DETECTION.translation(history, names), {"owl": 3})

    assert [(each.key, round(each.score, 3)) for each in found] == [("2", 0.6), ("1", 0.1), ("3", 0.0)]
