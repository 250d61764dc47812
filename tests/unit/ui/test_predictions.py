"""What models see in the images of a pool."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from fakes.page import BACKBONE

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import PoolImage, State
from octospoon.domain.pool.stored_boxes import pack, unpack
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.ui import predictions
from octospoon.ui.boxes import Guesses
from octospoon.ui.predictions import Predictions, Seen

CLASSES = ("cat", "dog", "owl", "yak")
KNOWN = {
    1: ChampionPointer.of(1, BACKBONE, "a" * 64, "", CLASSES),
    2: ChampionPointer.of(2, BACKBONE, "b" * 64, "", CLASSES[:2]),
}
HISTORY = ClassHistory(CLASSES)
CHANGED = HISTORY.rename("dog", "hound", 1.0).merge(["owl"], "cat", 2.0).retire(["yak"], 3.0)


def image(version: int, boxes: bytes | None, top_class: int | None = 0) -> PoolImage:
    day = "2026-01-31"
    return PoolImage(
        "a.png",
        "e",
        State.SCORED,
        version,
        BACKBONE,
        None,
        top_class,
        0.5,
        None,
        0,
        "",
        False,
        day,
        "",
        boxes,
    )


def boxes(rng: np.random.Generator, classes: int) -> bytes:
    """Return up to 8 boxes in few places, with up to two classes each."""
    predicted = np.zeros((rng.integers(0, 9), 4 + classes), np.float32)
    low = rng.choice([0.1, 0.12, 0.5], (len(predicted), 2))
    predicted[:, :4] = np.concatenate([low, low + rng.choice([0.3, 0.4], low.shape)], axis=1)
    for _ in range(2):
        predicted[np.arange(len(predicted)), 4 + rng.integers(0, classes, len(predicted))] = rng.random()
    return pack(predicted)


@pytest.mark.parametrize("history", [HISTORY, CHANGED])
def test_boxes_read_together_are_those_of_each_image(
    history: ClassHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_NUMBERS", 100 * 8 * 70)  # so that there are several parts
    rng = np.random.default_rng(0)
    images = [image(version, boxes(rng, 4 if version == 1 else 2)) for version in rng.integers(1, 3, 300)]
    seen = Predictions(DETECTION, history, KNOWN.get)(images)
    one_by_one = Guesses(DETECTION, history)
    for given, made in zip(images, seen, strict=True):
        guess = one_by_one(unpack(given.boxes or b""), KNOWN[given.model_version].classes)
        assert guess is not None
        assert made == Seen(guess.text, sorted({box["name"] for box in guess.boxes}), len(guess.boxes))
    assert len({each.text for each in seen if each}) > 20


def test_boxes_of_an_unknown_model_are_left_out() -> None:
    rng = np.random.default_rng(0)
    others = [image(3, boxes(rng, 4)), image(2, boxes(rng, 4)), image(1, boxes(rng, 4)), image(0, None, None)]
    seen = Predictions(DETECTION, HISTORY, KNOWN.get)(others)
    assert [each is None for each in seen] == [True, True, False, True]


def test_boxes_of_retired_classes_are_left_out() -> None:
    history = ClassHistory((*CLASSES, "ape", "bee")).retire(CLASSES, 1.0)
    assert Predictions(DETECTION, history, KNOWN.get)([image(1, boxes(np.random.default_rng(0), 4))]) == [
        None
    ]


def test_a_pool_is_translated_in_few_parts() -> None:
    task_type, rng = Mock(wraps=DETECTION), np.random.default_rng(0)
    made = DETECTION.translation(CHANGED, CLASSES)
    translated = Mock(wraps=made)
    translated.names = made.names
    task_type.translation.return_value = translated
    Predictions(task_type, CHANGED, KNOWN.get)([image(1, boxes(rng, 4)) for _ in range(500)])
    assert (task_type.translation.call_count, translated.call_count) == (1, 1)


def test_a_predicted_class_has_its_present_name() -> None:
    images = [image(1, None, 1), image(1, None, 4), image(1, None, None)]
    assert Predictions(CLASSIFICATION, CHANGED, KNOWN.get)(images) == [Seen("hound", ["hound"]), None, None]
