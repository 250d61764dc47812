from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.first_labels import FirstLabels
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import TrainingRules
from octospoon.usecases.first_batches import FirstBatches

CLASSES = ("cat", "dog", "owl")
COLD = ChampionPointer(0, "a" * 64, "m", "b" * 64, "", "", ())
WARM = ChampionPointer(1, "a" * 64, "m", "b" * 64, "h", "c" * 64, CLASSES)
FIRST, LABELS = 15, 12
"""Images of a first batch of three classes, and labels that start the first training."""


class World(FakeWorld):
    """A pool without a model that has classes."""

    def __init__(self, given: int = 0, size: int = 50, threshold: int = 50) -> None:
        super().__init__()
        self.champions.set(COLD)
        self.model = False
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        rng = np.random.default_rng(0)
        for i in range(300):
            embedding = rng.normal(size=8).astype(np.float32)
            score = Prediction(0, "b" * 64, embedding, np.array([0.5, 0.3, 0.2], np.float32))
            self.pool.put_score(ImageRef(f"{i:04d}.png", f"e{i}", "1", 10), score)
        first = FirstLabels(given)
        self.rank = self.build_rank(
            BatchRules(size, 0.2),
            "margin_diverse",
            days=14,
            max_open_tasks=50,
            refresh=lambda: 0,
            first=FirstBatches(self.control, self.clock, first, lambda: len(CLASSES), size),
        )
        collect = self.build_collect(CLASSES, TrainingRules(threshold, first=first), SingleChoice().read)
        self.collect = replace(collect, has_model=lambda: self.model)

    def label(self, count: int) -> str | None:
        """Answer so many open tasks; return the job that started."""
        open_ = [task for task in self.labeler.tasks if task not in self.labeler.answered]
        for task in open_[:count]:
            self.labeler.answered.add(task)
            self.resolve(self.labeler.tasks[task].key, Consensus("cat", 1.0, 1))
        return self.collect.launch_if_due()


def test_a_first_batch_is_small_and_says_why() -> None:
    world = World()

    report = world.rank()

    assert report.exported == FIRST
    assert sum(pick.audit for pick in world.rounds.files[1].picks) == 3
    assert any("15 images instead of 50" in note for note in report.notes)
    assert world.rounds.files[1].notes == tuple(report.notes)


def test_a_first_batch_starts_the_first_training() -> None:
    world = World()
    world.rank()

    assert world.label(LABELS - 1) is None
    assert world.label(1) == "train-000001"


def test_the_first_model_chooses_the_next_batch() -> None:
    world = World()
    world.rank()
    world.label(FIRST)
    assert world.control.state().status is JobStatus.LAUNCHING

    assert "trains the first model" in world.rank().reason

    world.champions.set(WARM)
    assert world.rank().exported == 50
    assert not any("instead of 50" in note for note in world.rounds.files[2].notes)


def test_a_first_training_that_is_late_holds_nothing_up() -> None:
    world = World()
    world.rank()
    world.label(FIRST)
    world.clock.time = world.control.state().lease_until + 1

    assert world.rank().exported == FIRST


def test_a_first_batch_waits_for_answers_of_the_last() -> None:
    world = World()
    world.rank()
    world.label(FIRST - 4)
    assert world.control.state().jobs == 0
    assert "4 tasks" in world.rank().reason

    world.labeler.answered.add(max(world.labeler.tasks))  # one is skipped
    assert world.rank().exported == FIRST


def test_after_the_first_model_the_threshold_is_the_usual_one() -> None:
    world = World()
    world.rank()
    world.model = True

    assert world.label(FIRST) is None
    assert world.control.state().new_labels == FIRST


@pytest.mark.parametrize(("given", "images", "labels"), [(20, 20, 20), (1000, 50, 40), (5, 5, 5)])
def test_an_explicit_size_wins(given: int, images: int, labels: int) -> None:
    world = World(given=given, threshold=40)

    assert world.rank().exported == images
    assert world.label(labels - 1) is None
    assert world.label(1) == "train-000001"


def test_small_settings_are_never_exceeded() -> None:
    world = World(size=6, threshold=4)

    assert world.rank().exported == 6
    assert world.label(3) is None
    assert world.label(1) == "train-000001"
