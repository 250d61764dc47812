"""Boxes in the pool's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from contract.test_pool import BACKBONE, image
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.images import Prediction, ScoredImage
from octospoon.domain.pool.stored_boxes import unpack
from octospoon.domain.task_types.detection.task_type import DETECTION

if TYPE_CHECKING:
    from contract.conftest import Stores

CLASSES = 3


@pytest.fixture(name="pool")
def of_boxes(stores: Stores) -> Stores:
    """Return stores whose labels are boxes."""
    kind: Any = DETECTION
    for store in (stores.scoring, stores.rescoring_pool):
        writer: Any = store
        if hasattr(writer, "_order"):
            writer._order = Order("margin_diverse", kind)
        else:
            writer.task_type = kind
    return stores


def detected(count: int, generation: int = 1, backbone: str = BACKBONE) -> Prediction:
    """Return a prediction of some boxes with scores over 0.05, in ten rows."""
    predicted = np.zeros((10, 4 + CLASSES), np.float32)
    for i in range(count):
        predicted[i] = [i / 20, 0.25, i / 20 + 0.5, 0.75, 0.9 - i / 10, 0, 0.06]
    return Prediction(generation, backbone, np.full(4, count, np.float32), predicted, generation)


def stored(pool: Stores, i: int) -> np.ndarray:
    row = pool.pool.rows([image(i).key])[image(i).key]
    assert row.probabilities is not None
    padded = np.zeros((1, 10, 4 + CLASSES), np.float32)
    given = together([row.probabilities])
    padded[:, : given.shape[1]] = given
    return padded[0]


def same(row: np.ndarray, prediction: Prediction) -> bool:
    assert prediction.probabilities is not None
    return np.allclose(row, prediction.probabilities, atol=1e-3)


def test_boxes_come_back_as_they_were_written(pool: Stores) -> None:
    assert pool.scoring.put_score(image(1), detected(3))
    scored = [ScoredImage(image(i), detected(i)) for i in (2, 0)]
    assert len(pool.scoring.insert_scores(scored)) == 2

    assert same(stored(pool, 1), detected(3))
    assert same(stored(pool, 2), detected(2))
    assert same(stored(pool, 0), detected(0)), "an image without boxes is scored too"


def test_the_whole_pool_comes_with_its_boxes(pool: Stores) -> None:
    pool.scoring.put_score(image(1), detected(3))
    pool.scoring.put_score(image(2), detected(0))
    read = {each.key: each.boxes for each in pool.pool_report.images()}
    for i in (1, 2):
        boxes = read[image(i).key]
        assert boxes is not None
        read_back = unpack(boxes)
        np.testing.assert_allclose(read_back, stored(pool, i)[: len(read_back)], atol=1e-3)


def test_a_newer_detector_replaces_the_boxes(pool: Stores) -> None:
    pool.scoring.put_score(image(1), detected(3))

    assert pool.scoring.put_score(image(1), detected(5, generation=2, backbone="other"))

    row = pool.pool.rows([image(1).key])[image(1).key]
    assert (row.backbone, row.generation) == ("other", 2)
    assert same(stored(pool, 1), detected(5))
    assert pool.ranking.top(5)[0].priority is not None


def test_images_of_the_newest_detector_come_first(pool: Stores) -> None:
    for i, (count, generation) in enumerate([(6, 1), (5, 1), (1, 2), (2, 2)]):
        pool.scoring.put_score(image(i), detected(count, generation))

    top = pool.ranking.top(5)

    assert [each.key for each in top] == [image(i).key for i in (3, 2, 0, 1)], "then the most doubtful"
    assert [int(each.priority or 0) for each in top] == [2, 2, 1, 1]


def test_an_older_detector_replaces_nothing(pool: Stores) -> None:
    pool.scoring.put_score(image(1), detected(5, generation=2))

    pool.scoring.put_score(image(1), detected(3))

    assert same(stored(pool, 1), detected(5))
