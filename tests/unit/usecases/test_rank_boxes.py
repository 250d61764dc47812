"""Batches and predictions where a label is a list of boxes."""

from __future__ import annotations

from copy import deepcopy
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
from octospoon.ports.labelling import AnnotationBody
from octospoon.ports.models import ShardReading
from octospoon.usecases.refresh_predictions import RefreshPredictions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import Round, Task
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
            self.predictions,
            self.pool,
            self.rounds,
            self.champions,
            no_head,
            self.clock,
            DETECTION,
            self.rereading.newest,
        )
        self.rank = self.build_rank(
            BatchRules(20, 0.2, rare_classes=NEVER),
            "margin_diverse",
            days=14,
            max_open_tasks=20,
            refresh=self.refresh,
        )

    def promote(self, version: int) -> None:
        self.champions.set(replace(DETECTOR, version=version, generation=version))

    def read(self, key: str) -> None:
        """Let `score` read an image again, with the model in service. It sees one dog."""
        pointer, _ = self.champions.pointer()  # type: ignore[misc]
        fresh = Prediction(
            pointer.version, BACKBONE, np.zeros(8, np.float32), seen((0.01, 0.9)), pointer.generation
        )
        assert self.pool.refresh_score(ImageRef(key, f"etag{int(key[:3])}", "1", 10), fresh)

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


def test_a_new_task_names_the_version_that_made_its_boxes() -> None:
    world = World()
    world.champions.set(replace(DETECTOR, version=2, generation=1))

    world.rank()

    assert world.rounds.files[1].model_version == 2
    versions = [version for given in world.labeler.predictions.values() for version, _ in given]
    assert len(versions) > 5
    assert set(versions) == {"v1"}, "version 2 has read no image yet"
    assert world.labeler.model_version == ""


def test_boxes_of_the_version_before_stay_until_images_are_read() -> None:
    world = World()
    world.rank()
    before = deepcopy(world.labeler.predictions)

    world.promote(2)

    assert world.refresh() == 0
    assert (world.labeler.predictions, world.labeler.model_version) == (before, "v1")


def test_open_tasks_get_the_boxes_of_images_that_are_read() -> None:
    world = World()
    world.rank()
    (first, *others) = shown = [id_ for id_, given in world.labeler.predictions.items() if given]
    world.promote(2)

    world.read(world.labeler.tasks[first].key)
    assert world.refresh() == 1
    assert world.labeler.predictions[first][1:] == [("v2", '[["dog",0.0,0.1,0.3,0.6]]')]
    assert world.labeler.model_version == "v1", "most tasks have no boxes of version 2"
    assert world.refresh() == 0, "once"

    for id_ in others:
        world.read(world.labeler.tasks[id_].key)
    assert world.refresh() == len(others)
    assert world.labeler.model_version == "v2"
    versions = {id_: [version for version, _ in world.labeler.predictions[id_]] for id_ in shown}
    assert versions == {id_: ["v1", "v2"] for id_ in shown}
    assert world.refresh() == 0


def test_the_version_of_most_tasks_in_the_round_is_shown() -> None:
    world = World()
    world.rank()
    for id_ in world.labeler.tasks:  # they stay open, and hold up no batch
        world.labeler.annotate(id_, AnnotationBody(id=id_, unique_id=f"u{id_}", was_cancelled=True))
    world.promote(2)
    for key in {f"{i:03d}.png" for i in range(IMAGES)} - {task.key for task in world.labeler.tasks.values()}:
        world.read(key)

    report = world.rank()

    assert (report.created, report.refreshed) == (20, 0)
    assert world.labeler.model_version == "v2", "though the skipped tasks of round 1 have v1 alone"


def test_tasks_are_listed_again_while_images_are_being_read() -> None:
    world = World()
    world.rank()
    world.promote(2)
    (first, *others) = (id_ for id_, given in world.labeler.predictions.items() if given)
    for id_ in others:
        world.read(world.labeler.tasks[id_].key)
    run = world.rereading.begin(2, 2, 100)
    assert world.refresh() == len(others)
    assert world.labeler.model_version == "v2"

    world.read(world.labeler.tasks[first].key)
    assert world.refresh() == 1, "its image was read later"

    for number in range(SHARDS):
        world.rereading.done(ShardReading(run, number))
    assert world.refresh() == 0
    world.predictions.tasks = lambda *_: pytest.fail("nothing can have changed")
    assert world.refresh() == 0


def test_a_late_run_reads_the_tasks_that_another_was_making() -> None:
    world = World()
    world.rank()
    world.labeler.answered = set(world.labeler.tasks)
    create, seen = world.labeler.create, []

    def slowly(tasks: Sequence[Task]) -> dict[str, int]:
        seen.append(world.rank().reason)
        return create(tasks)

    world.labeler.create = slowly
    world.promote(2)
    for i in range(IMAGES // 2):
        world.read(f"{i:03d}.png")

    world.rank()

    assert "another run is exporting round 2" in seen[0]
    assert world.rounds.sent == "v2, round 2, reading 0"


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
