"""The data of the demo for each task type."""

from __future__ import annotations

import numpy as np
import pytest

from octospoon.cli.datasets import digits, mosaics
from octospoon.cli.demo import tasks
from octospoon.cli.demo.tasks import TASKS, Digits, Mosaics, key_of, task_named
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.multilabel.label import ClassNames


def test_digits_are_split_and_named_as_ever() -> None:
    task, split = Digits(), digits.split()

    assert list(task.pool) == [f"digits/{index:04d}.png" for index in split.pool]
    assert task.pool[0] == key_of(int(split.pool[0]))
    assert task.file(task.pool[3]) == digits.png_bytes(int(split.pool[3]))
    assert [task.label(key) for key in task.pool] == [digits.CLASSES[i] for i in digits.labels()[split.pool]]
    assert len(task.held_out) == len(split.held_out)
    labels = task.task_type.evaluator.targets(task.held_out_labels, task.classes)
    assert np.array_equal(labels, digits.labels()[split.held_out])
    assert (task.metric, task.careless) == ("accuracy", False)


def test_a_mosaic_is_labelled_with_all_its_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "HELD_OUT_MOSAICS", 6)
    task, form = Mosaics(), ClassNames()

    for key in task.pool[:4]:
        shown = mosaics.mosaic(int(key[-8:-4]))
        assert form.read(task.label(key)) == set(shown.present)
        assert task.file(key) == shown.png_bytes()
    assert len(task.held_out) == len(task.held_out_labels) == 6
    assert not {*task.held_out} & {task.file(key) for key in task.pool[:6]}
    assert len(task.pool) == 2 * 400, "a third of all images is held out"


def test_the_demo_names_the_types_that_it_has() -> None:
    assert [task_named(name).task_type.name for name in TASKS] == ["classification", "multilabel"]
    with pytest.raises(BadRequest, match="'boxes': choose one of classification, multilabel"):
        task_named("boxes")
