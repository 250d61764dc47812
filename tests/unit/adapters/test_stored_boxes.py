"""A row keeps predicted boxes in few bytes, and old rows are read as before."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from octospoon.adapters.dynamodb.items import dump_item
from octospoon.adapters.dynamodb.pool.rows import DynamoRows
from octospoon.adapters.dynamodb.pool.scores import Order, embedding_attributes, score_attributes
from octospoon.domain.acquisition import STRATEGIES
from octospoon.domain.batch.comparable import commonest
from octospoon.domain.pool.boxes import classes_of, together
from octospoon.domain.pool.images import Candidate, PoolRow, Prediction, State, Uncertainty
from octospoon.domain.pool.stored_boxes import DETECTIONS, as_stored, pack, unpack, unpack_together


def boxes(rng: np.random.Generator, count: int, classes: int, rows: int = 100) -> np.ndarray:
    """Return a detector's boxes, the best first, with at least one score over 0.05 each."""
    predicted = np.zeros((rows, 4 + classes), np.float32)
    start = rng.random((count, 2)) * 0.8
    predicted[:count, :4] = np.concatenate([start, start + 0.01 + rng.random((count, 2)) * 0.15], axis=1)
    predicted[np.arange(count), 4 + rng.integers(0, classes, count)] = 0.06 + 0.9 * rng.random(count)
    predicted[:count] = predicted[:count][np.argsort(-predicted[:count, 4:].max(axis=1))]
    return predicted


def read(predicted: np.ndarray) -> np.ndarray:
    return as_stored(predicted)


@pytest.mark.parametrize("classes", [1, 3, 80, 1000])
@pytest.mark.parametrize("count", [0, 1, 30, 100])
def test_boxes_come_back_almost_exactly(classes, count):
    predicted = boxes(np.random.default_rng(count), count, classes)

    kept = read(predicted)

    assert kept.shape == (count, 4 + classes)
    np.testing.assert_allclose(kept[:, :4], predicted[:count, :4], atol=0.5001 / 65_535)
    np.testing.assert_allclose(kept[:, 4:], predicted[:count, 4:], rtol=2**-11)
    assert len(pack(predicted)) == 2 + 12 * count <= 1202


def test_a_box_of_several_classes_stays_one_row():
    predicted = np.zeros((3, 7), np.float32)
    predicted[0] = [0.1, 0.2, 0.3, 0.4, 0.7, 0.0, 0.5]
    predicted[1] = [0.1, 0.2, 0.3, 0.4, 0.0, 0.6, 0.0]
    predicted[2] = [0.0, 0.0, 1.0, 1.0, 0.04, 0.0, 0.3]

    kept = read(predicted)

    np.testing.assert_allclose(kept[:, 4:], [[0.7, 0, 0.5], [0, 0.6, 0], [0, 0, 0.3]], atol=1e-3)


@pytest.mark.parametrize("counts", [(0,), (0, 0), (3, 0, 100, 1), (0, 5, 5, 0)])
def test_boxes_of_many_images_are_read_as_one_by_one(counts):
    rng = np.random.default_rng(sum(counts))
    rows = [pack(boxes(rng, count, 3)) for count in counts]
    several = np.zeros((1, 7), np.float32)
    several[0] = [0.1, 0.2, 0.3, 0.4, 0.7, 0.0, 0.5]
    rows += [pack(several), pack(several)]  # the same box in two images

    np.testing.assert_array_equal(unpack_together(rows), together([unpack(row) for row in rows]))


def test_the_best_pairs_alone_are_kept():
    predicted = np.zeros((100, 9), np.float32)
    predicted[:, :4] = [0.2, 0.2, 0.4, 0.4]
    predicted[:, 0] -= np.arange(100) / 1000
    predicted[:, 4:] = 0.9 - np.arange(500).reshape(100, 5) / 1000

    kept = read(predicted)

    assert (kept[:, 4:] > 0).sum() == DETECTIONS
    np.testing.assert_allclose(kept[:, 4:].min(), 0.9 - (DETECTIONS - 1) / 1000, rtol=1e-3)


@pytest.mark.parametrize("start", [0.0, 0.5, 1 - 2e-6])
def test_the_thinnest_box_keeps_an_area(start):
    predicted = np.array([[start, start, start + 1e-6, start + 1e-6, 0.5]], np.float32)

    (box,) = read(predicted)

    assert box[0] < box[2] <= 1
    assert box[1] < box[3] <= 1


class CountingBoxes:
    """A task type that is the less certain the more boxes there are."""

    def uncertainties(self, predicted: np.ndarray) -> list[Uncertainty]:
        counts = (predicted[:, :, 4:].max(axis=2) > 0).sum(axis=1)
        return [Uncertainty(count / 100, 0.5, 0.5, 0, 0.5) for count in counts.tolist()]


def row(key: str, predicted: np.ndarray | None, backbone: str, version: int = 1) -> PoolRow:
    embedding = np.full(4, len(key), np.float32)
    return PoolRow(key, "e", State.SCORED, version, backbone, embedding, predicted)


def test_a_row_has_boxes_in_the_place_of_probabilities():
    rng = np.random.default_rng(0)
    order = Order("least_confidence", CountingBoxes())
    predictions = [
        Prediction(1, "b", np.zeros(4, np.float32), boxes(rng, count, classes, rows), 3)
        for count, classes, rows in ((4, 3, 10), (9, 3, 20), (2, 5, 10), (0, 3, 10))
    ]

    scores = score_attributes(list("abcd"), predictions, order, 1.0)

    assert [attributes["least_confidence"] for attributes in scores] == [0.04, 0.09, 0.02, 0]
    for attributes, prediction in zip(scores, predictions, strict=True):
        assert "probabilities" not in attributes
        item = dump_item({"key": "a", "etag": "e", "state": "scored"} | attributes)
        item |= dump_item(embedding_attributes("a", prediction))
        client = SimpleNamespace(batch_get_item=lambda item=item, **_: {"Responses": {"pool": [item]}})
        kept = DynamoRows(client, "pool").rows(["a"])["a"].probabilities
        assert prediction.probabilities is not None
        assert kept is not None
        assert classes_of(kept) == classes_of(prediction.probabilities)
        np.testing.assert_allclose(kept, prediction.probabilities[: len(kept)], atol=1e-3)


def test_a_batch_compares_boxes_of_one_model_alone():
    rng = np.random.default_rng(1)
    rows = [
        row("a", boxes(rng, 2, 3, 2), "old"),
        row("b", boxes(rng, 5, 3, 5), "new", 2),
        row("c", boxes(rng, 0, 3, 0), "new", 2),
        row("d", boxes(rng, 1, 4, 1), "new", 2),
        row("e", None, "new", 0),
    ]
    images = [Candidate(each.key, "e", 0.5, 0.5) for each in rows]

    group = commonest(images, {each.key: each for each in rows}, STRATEGIES["margin_diverse"])

    assert [image.key for image in group.images] == ["b", "c"]
    assert group.pool.probabilities is not None
    assert group.pool.probabilities.shape == (2, 5, 7)
    assert not group.pool.probabilities[1].any()


def test_images_without_any_box_are_stacked_too():
    nothing = [np.zeros((0, 7), np.float32)] * 3

    assert together(nothing).shape == (3, 1, 7)
