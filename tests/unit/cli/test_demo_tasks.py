"""The data of the demo for each task type."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.cli.datasets import digits, mosaics
from octospoon.cli.demo import random_detectors
from octospoon.cli.demo.boxes import BoxesOfMosaics, loose
from octospoon.cli.demo.held_out import held_out_metric
from octospoon.cli.demo.loop import parameters
from octospoon.cli.demo.random_control import plan_of
from octospoon.cli.demo.tasks import TASKS, ClassesOfMosaics, Digits, key_of, task_named
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.pool.framing import WHOLE, Framed
from octospoon.domain.pool.images import Prediction
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.multilabel.label import ClassNames

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.adapters.onnx.scorer import OnnxScorer
    from octospoon.domain.pool.framing import Region

FORM = Boxes()


def test_digits_are_split_and_named_as_ever() -> None:
    task, split = Digits(), digits.split()

    assert list(task.pool) == [f"digits/{index:04d}.png" for index in split.pool]
    assert task.pool[0] == key_of(int(split.pool[0]))
    assert task.file(task.pool[3]) == digits.png_bytes(int(split.pool[3]))
    assert [task.label(key) for key in task.pool] == [digits.CLASSES[i] for i in digits.labels()[split.pool]]
    assert len(task.held_out) == len(split.held_out)
    labels = task.task_type.evaluator.targets(task.held_out_labels, task.classes)
    assert np.array_equal(labels, digits.labels()[split.held_out])
    assert (task.metric, task.careless) == ("accuracy", None)


def test_a_mosaic_is_labelled_with_all_its_digits() -> None:
    task, form = ClassesOfMosaics(12), ClassNames()

    for key in task.pool[:4]:
        shown = mosaics.mosaic(int(key[-8:-4]))
        assert form.read(task.label(key)) == set(shown.present)
        assert task.file(key) == shown.png_bytes()
    assert len(task.held_out) == len(task.held_out_labels) == 6
    assert not {*task.held_out} & {task.file(key) for key in task.pool[:6]}
    assert len(ClassesOfMosaics().pool) == 2 * 400, "a third of all images is held out"
    assert task.careless is not None
    assert task.careless.label(task.label(task.pool[1])) == "[]"


def test_a_mosaic_is_labelled_with_its_boxes() -> None:
    task = BoxesOfMosaics(12)
    shown = mosaics.mosaic(3)
    label = FORM.read(task.label("mosaics/0003.png"))

    assert sorted(box.name for box in label) == sorted(mosaics.CLASSES[at] for at in shown.classes)
    assert np.allclose(
        sorted(box[1:] for box in label), sorted(map(tuple, shown.boxes.tolist())), rtol=0, atol=1e-7
    )
    targets = task.task_type.evaluator.targets(task.held_out_labels, task.classes)
    true = mosaics.mosaic(5, held_out=True)
    assert np.count_nonzero(targets[5, :, 4] >= 0) == len(true.boxes)


def test_rectangles_say_what_the_label_says() -> None:
    control, history = RectangleLabels(), ClassHistory(mosaics.CLASSES)
    task = BoxesOfMosaics(20)

    for key in task.pool:
        for label in (task.label(key), loose(task.label(key))):
            assert control.read(control.result(label), history).label == label


def test_loose_boxes_overlap_no_digit_by_half() -> None:
    task = BoxesOfMosaics(60)
    for label in map(task.label, task.pool):
        true, drawn = FORM.read(label), FORM.read(loose(label))
        assert sorted(box.name for box in true) == sorted(box.name for box in drawn)
        if true:
            alike = overlaps(*(np.array([box[1:] for box in each]) for each in (true, drawn)))
            same = np.array([[one.name == other.name for other in drawn] for one in true])
            assert np.all(alike[same] < 0.5)


def test_a_demo_with_boxes_trains_detectors() -> None:
    task = BoxesOfMosaics()
    given = parameters(task)

    assert (given["TaskType"], given["Trainer"]) == ("detection", "finetune")
    assert given["BatchSize"] == given["TrainingThreshold"] == str(task.batch)
    assert "Trainer" not in parameters(Digits())
    assert 4 * task.batch + 5 < len(task.pool), "a careless round and latecomers are left"


class Oracle:
    """A model that answers with the true boxes of the held-out images, in order, or with wrong classes."""

    spec = ModelSpec(mosaics.CLASSES, 192, 256, 1, "squash", "b", 1, boxes=6)

    def __init__(self, task: BoxesOfMosaics, *, right: bool = True) -> None:
        self._targets = task.task_type.evaluator.targets(task.held_out_labels, task.classes)
        self._shift, self._next = 0 if right else 1, 0

    def preprocess(self, data: bytes) -> Framed:
        """Return black pixels."""
        return Framed(np.zeros((192, 256, 3), np.uint8), WHOLE)

    def predict(self, images: npt.NDArray[np.uint8], regions: Sequence[Region]) -> list[Prediction]:
        """Answer for the next images."""
        rows = self._targets[self._next : self._next + len(images)]
        self._next += len(images)
        return [Prediction(1, "b", np.zeros(1, np.float32), self._of(row)) for row in rows]

    def _of(self, row: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        objects = row[row[:, 4] >= 0]
        answer = np.zeros((len(objects), 4 + len(mosaics.CLASSES)), np.float32)
        answer[:, :4] = objects[:, :4]
        classes = (objects[:, 4].astype(np.int64) + self._shift) % len(mosaics.CLASSES)
        answer[np.arange(len(objects)), 4 + classes] = 0.9
        return answer


def test_true_boxes_have_an_ap50_of_one() -> None:
    task = BoxesOfMosaics(80)

    assert held_out_metric(cast("OnnxScorer", Oracle(task)), task) == pytest.approx(1)
    assert held_out_metric(cast("OnnxScorer", Oracle(task, right=False)), task) < 0.1


def test_random_labels_have_an_audit_share_too() -> None:
    task = BoxesOfMosaics(100)
    made = random_detectors.dataset(task, task.pool[::-1][:60], 12, 7)

    assert (len(made), len(made.part(audit=True)), made.embeddings.shape) == (60, 12, (60, 7))
    assert {image.key for image in made.part(audit=True).images} == {*task.pool[::-1][:12]}
    image = made.images[3]
    stored = random_detectors.Pool(task).read(image.key)
    assert stored.matches(image.etag)
    assert stored.data == task.file(image.key)
    assert np.array_equal(
        made.labels[3], task.task_type.evaluator.targets([image.label], task.classes)[0]
    ) or (made.labels.shape[1] > len(FORM.read(image.label)))
    assert plan_of(task).labels == [task.batch, 2 * task.batch, 3 * task.batch]


def test_the_demo_names_the_types_that_it_has() -> None:
    assert [task_named(name).task_type.name for name in TASKS] == [
        "classification",
        "multilabel",
        "detection",
    ]
    with pytest.raises(BadRequest, match="'boxes': choose one of classification, multilabel, detection"):
        task_named("boxes")
