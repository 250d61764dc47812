"""Imported labels in the whole loop: models train on them, repairs keep them, people confirm some."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.imported_labels import FakeImportedLabels
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.imported import DRAWN, Confirmation
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction, State, StoredObject
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import AnnotationBody
from octospoon.usecases.draw_audit import DrawAudit

CLASSES = ("cat", "dog")
IMAGES = 12


class World(FakeWorld):
    def __init__(self) -> None:
        super().__init__()
        self.alias.named = 1
        self.champions.set(ChampionPointer.of(1, "b" * 64, "m" * 64, "h" * 64, CLASSES))
        for i in range(IMAGES):
            prediction = Prediction(1, "b" * 64, np.zeros(4, np.float32), np.array([0.5, 0.5], np.float32))
            self.pool.put_score(ImageRef(f"{i}.png", "e", "1", 1), prediction)
            self.bucket.objects[f"{i}.png"] = StoredObject(f"{i}.png", "e", 1, 0.0)
        self.imports = FakeImportedLabels(self.labels)
        self.collect = self.build_collect(CLASSES, TrainingRules(IMAGES), SingleChoice().read)
        self.reconcile = self.build_reconcile(self.build_stores(), self.collect)
        self.rank = self.build_rank(
            BatchRules(4, 0.25), "margin", days=0, max_open_tasks=1, refresh=lambda: 0
        )

    def import_all(self, label: str = "cat") -> None:
        states = self.imports.states([f"{i}.png" for i in range(IMAGES)])
        self.imports.store([(state, label) for state in states.values()])

    def labelled(self) -> dict[str, str]:
        return {image.key: image.label for image in self.pool.labelled()}

    def answer(self, task: int, label: str) -> None:
        body = AnnotationBody(1000 + task, f"u{task}", "2026-02-01T00:00:00.000000Z", task, 1, False)
        self.labeler.annotate(task, type(body)(**{**_fields(body), "result": [choice(label)]}))


def _fields(body: AnnotationBody) -> dict[str, object]:
    return {name: getattr(body, name) for name in body.__struct_fields__}


def test_imported_labels_launch_training_by_the_ordinary_rule() -> None:
    world = World()
    world.import_all()
    assert world.control.state().new_labels == IMAGES

    assert world.reconcile().job == "train-000001"
    assert world.reconcile().job == ""


def test_repairs_never_take_an_imported_label_for_missing() -> None:
    world = World()
    world.import_all()

    first, second = world.reconcile(full=True), world.reconcile(full=True)

    for report in (first, second):
        assert (report.labels, report.annotations, report.elsewhere, report.withheld) == (0, 0, 0, 0)
    assert len(world.labelled()) == IMAGES
    assert not world.missing.pages


@pytest.mark.parametrize("interrupted", [False, True])
def test_drawn_images_are_exported_and_answered_by_people(interrupted) -> None:
    world = World()
    world.import_all()
    drawn = DrawAudit(world.imports, world.rounds, world.clock, 1, 0)(5)
    if interrupted:
        world.labeler.lose_answers = 1
        with pytest.raises(ServiceUnavailable):
            world.rank()
        world.clock.time = world.clock.now() + 1000.0

    report = world.rank()

    assert (report.round_number, report.exported) == (drawn.round_number, 5)
    tasks = dict(world.labeler.tasks)
    assert all(task.label is None for task in tasks.values()), "they are blind"
    for number, task in enumerate(tasks):
        world.answer(task, "dog" if number == 0 else "cat")
    world.reconcile(full=True)
    images = {image.key: image for image in world.pool.labelled()}
    ours = [images[task.key] for task in tasks.values()]
    assert len(images) == IMAGES
    assert all(image.audit and image.annotators for image in ours)
    confirmations = list(world.imports.confirmations())
    assert sum(confirmation.answered == confirmation.imported for confirmation in confirmations) == 4
    assert Confirmation(next(iter(tasks.values())).key, "cat", "dog") in confirmations


def test_label_of_a_drawn_image_never_comes_back() -> None:
    world = World()
    world.import_all()
    DrawAudit(world.imports, world.rounds, world.clock, 1, 0)(5)
    world.rank()
    drawn = [task.key for task in world.labeler.tasks.values()]
    world.labeler.tasks.clear()

    world.reconcile(full=True)
    world.import_all()

    assert {world.pool.table[key].state for key in drawn} == {State.SCORED}
    assert len(world.labelled()) == IMAGES - 5
    assert {label.problem for label in world.labels.stored.values() if label.key in drawn} == {DRAWN}
