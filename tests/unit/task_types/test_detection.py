"""What holds for boxes alone: consensus, uncertainty, classes that change, and what the gate compares."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from unit.task_types.contract.test_task_types import HISTORY, answers, vote

from octospoon.domain.evaluation.gate import decide
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.assignment import pairs
from octospoon.domain.task_types.detection.geometry import overlaps
from octospoon.domain.task_types.detection.label import Box, Boxes, boxes
from octospoon.domain.task_types.detection.predictions import counts, doubt, predicted

CAT = Box("cat", 0.0, 0.0, 0.4, 0.4)
OWL = Box("owl", 0.5, 0.5, 0.9, 0.9)
FORM = Boxes()
CLASSES = ("cat", "dog", "owl")


def label(*drawn: Box) -> str:
    return FORM.write(tuple(drawn))


def moved(box: Box, right: float) -> Box:
    return boxes([box._replace(x1=box.x1 + right, x2=box.x2 + right)])[0]


def detected(*rows: tuple[Box, float], size: int = 4) -> np.ndarray:
    """Return the prediction of an image, float32 [K, 7]."""
    prediction = np.zeros((size, 7), np.float32)
    for row, (box, score) in zip(prediction, rows, strict=False):
        row[:4], row[4 + CLASSES.index(box.name)] = box[1:], score
    return prediction


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_pairs_have_the_largest_sum_that_scipy_finds(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gains = np.round(rng.uniform(size=(rows, columns)) * 4) / 4 * (rng.uniform(size=(rows, columns)) < 0.5)

    made = pairs(gains)

    assert len({row for row, _ in made}) == len({column for _, column in made}) == len(made)
    assert all(gains[pair] > 0 for pair in made)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum() if gains.size else 0.0
    assert sum(gains[pair] for pair in made) == pytest.approx(best)


def test_overlap_is_intersection_over_union() -> None:
    whole, half, far = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5), (0.9, 0.9, 1.0, 1.0)

    shares = overlaps(np.array([whole, half]), np.array([whole, half, far, (0.5, 0.5, 0.5, 0.9)]))

    assert shares == pytest.approx(np.array([[1, 0.5, 0.01, 0], [0.5, 1, 0, 0]]))


def test_three_annotators_share_the_place_and_two_have_the_class() -> None:
    votes = (
        vote("a", label(CAT), 1),
        vote("b", label(moved(CAT, 0.03)), 2),
        vote("c", label(moved(CAT, 0.06)._replace(name="dog")), 3),
    )

    for order in permutations(votes):
        result = DETECTION.consensus(order, HISTORY)
        assert result.label == label(moved(CAT, 0.03))
        assert result.annotators == 3
    # the first overlaps by 0.37 / 0.43, the second is the label, and the third has another class
    assert result.agreement == pytest.approx((0.37 / 0.43 + 1 + 0) / 3, abs=1e-6)


def test_an_object_that_one_of_three_drew_is_left_out() -> None:
    votes = vote("a", label(CAT, OWL), 1), vote("b", label(CAT), 2), vote("c", label(CAT), 3)

    assert DETECTION.consensus(votes, HISTORY) == Consensus(label(CAT), (0.5 + 1 + 1) / 3, 3)
    assert DETECTION.consensus([vote("a", "[]", 1)], HISTORY) == Consensus("[]", 1.0, 1)


def test_of_two_answers_the_earlier_has_the_place() -> None:
    votes = vote("b", label(moved(CAT, 0.02), OWL), 2), vote("a", label(CAT), 1)

    result = DETECTION.consensus(votes, HISTORY)

    assert result.label == label(CAT)
    assert result.agreement == pytest.approx((1 + 0.38 / 0.42 / 2) / 2, abs=1e-6)


def test_two_objects_in_one_place_keep_their_classes() -> None:
    rider, horse = CAT._replace(name="dog", y2=0.3), CAT._replace(name="owl")
    votes = [vote(name, label(moved(rider, at / 100), horse), at) for at, name in enumerate("abc")]

    assert DETECTION.consensus(votes, HISTORY).label == label(moved(rider, 0.01), horse)


def test_merged_classes_agree_and_come_back_with_an_undo() -> None:
    merged = HISTORY.merge(["cat", "owl"], "pet", 1.0)
    votes = [vote("a", label(CAT), 1), vote("b", label(CAT._replace(name="owl")), 2)]

    result = DETECTION.consensus(votes, merged)

    assert result == Consensus(label(CAT), 1.0, 2)
    assert DETECTION.consensus(votes, HISTORY).agreement == 0.5
    assert DETECTION.labels.current(result.label, merged.undo(2.0)) == label(CAT)


def test_retired_boxes_leave_the_agreement_alone() -> None:
    retired = HISTORY.retire(["owl"], 1.0)
    votes = [vote("a", label(CAT, OWL), 1), vote("b", label(CAT), 2)]

    assert DETECTION.consensus(votes, retired) == Consensus(label(CAT, OWL), 1.0, 2)


def test_doubt_is_the_sum_of_entropies_of_counted_detections() -> None:
    rows = np.stack(
        [detected((CAT, 0.5), (OWL, 0.9), (moved(CAT, 0.5), 0.04)), detected(), detected((CAT, 1))]
    )
    entropy = -0.9 * np.log2(0.9) - 0.1 * np.log2(0.1)

    total, mean, largest = doubt(rows)

    assert total == pytest.approx([1 + entropy, 0, 0], abs=1e-6)
    assert mean == pytest.approx([(1 + entropy) / 2, 0, 0], abs=1e-6)
    assert largest == pytest.approx([1, 0, 0], abs=1e-6)


def test_scores_keep_the_order_of_the_sum() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack(
        [detected(*((CAT, s) for s in rng.uniform(size=rng.integers(40))), size=40) for _ in range(50)]
    )
    order = np.argsort(doubt(rows).total, kind="stable")

    each = DETECTION.uncertainties(rows)

    for name in ("least_confidence", "margin", "entropy"):
        scores = np.array([getattr(each[i], name) for i in order])
        assert (np.diff(scores) >= 0).all()
        assert (scores >= 0).all()
        assert (scores < 1).all()
    assert [one.confidence for one in each] == pytest.approx(rows[..., 4:].max(axis=(1, 2)))


def test_shown_boxes_are_within_the_image_and_have_scores() -> None:
    rows = detected(
        (OWL, 0.75), (Box("cat", -0.1, 0.5, 1.2, 0.75), 0.5), (Box("dog", 0.5, 0.5, 0.5, 0.6), 0.9)
    )
    rows[3] = [*CAT[1:], 0.25, 0, 0]

    (shown,) = predicted(rows[np.newaxis], CLASSES)

    assert shown.label == '[["cat",0.0,0.5,1.0,0.75],["owl",0.5,0.5,0.9,0.9]]'
    assert shown.scores == pytest.approx((0.5, 0.75))
    assert shown.confidence == pytest.approx(0.75 * 0.5 * 0.9 * 0.75)


@given(st.integers(0, 2**32 - 1))
def test_counts_are_those_of_the_shown_boxes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = np.zeros((5, 6, 7), np.float32)
    predictions[..., :4] = rng.choice([-0.1, 0.0, 0.5, 0.5 + 2e-8, 1.0, 1.2], (5, 6, 4))
    predictions[..., 4:] = rng.choice([0.0, 0.29, 0.3, 0.9], (5, 6, 3))

    shown = [Counter(box.name for box in FORM.read(each.label)) for each in predicted(predictions, CLASSES)]

    assert counts(predictions).tolist() == [[each[name] for name in CLASSES] for each in shown]


def test_merged_scores_are_of_any_and_retired_rows_are_unused() -> None:
    rows = detected((CAT, 0.5), (OWL, 0.4), (CAT._replace(name="dog"), 0.9))[np.newaxis]
    rows[0, 0, 6] = 0.5
    merged = DETECTION.translation(HISTORY.merge(["cat", "owl"], "pet", 1.0), CLASSES)
    retired = DETECTION.translation(HISTORY.retire(["owl"], 1.0), CLASSES)

    assert merged.names == ("dog", "pet")
    assert merged(rows)[0, :3, 4:] == pytest.approx(np.array([[0, 0.75], [0, 0.4], [0.9, 0]]))
    assert np.array_equal(merged(rows)[..., :4], rows[..., :4])
    assert retired.names == ("cat", "dog")
    assert not retired(rows)[0, 1].any()
    assert retired(rows)[0, 0] == pytest.approx([*CAT[1:], 0.5, 0])


def test_merged_classes_keep_the_best_box_of_an_object() -> None:
    near, next_to_it = moved(CAT, 0.02)._replace(name="owl"), moved(CAT, 0.3)._replace(name="owl")
    rows = detected((CAT, 0.6), (near, 0.7), (next_to_it, 0.5), (near._replace(name="dog"), 0.9))[np.newaxis]

    merged = DETECTION.translation(HISTORY.merge(["cat", "owl"], "pet", 1.0), CLASSES)(rows)[0]

    assert not merged[0].any(), "the worse of two boxes of one pet"
    assert merged[1:, 4:] == pytest.approx(np.array([[0, 0.7], [0, 0.5], [0.9, 0]]))
    assert np.array_equal(merged[1:, :4], rows[0, 1:, :4])


@pytest.mark.parametrize("broken", [np.zeros((2, 7)), np.zeros((2, 3, 4)), np.full((1, 1, 7), np.inf)])
def test_what_is_no_prediction_of_boxes_is_refused(broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match="predictions"):
        DETECTION.uncertainties(broken)


def some(count: int, seed: int, quality: float) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and targets of a detector that finds a share of the objects."""
    rng = np.random.default_rng(seed)
    truth, rows = [], []
    for _ in range(count):
        drawn = [moved(CAT._replace(name=str(rng.choice(CLASSES))), x) for x in rng.uniform(0, 0.5, 2)]
        truth.append(label(*drawn))
        found = [(moved(box, 0.02), rng.uniform(0.5, 1)) for box in drawn if rng.uniform() < quality]
        rows.append(detected(*found, (OWL, rng.uniform(0, 0.6))))
    return np.stack(rows), DETECTION.evaluator.targets(truth, CLASSES)


def test_a_detector_that_lost_a_class_is_refused() -> None:
    good, targets = some(80, 0, 0.95)
    worse = good.copy()
    worse[worse[..., 5] > 0] = 0

    refused = decide(DETECTION.evaluator.comparison, answers(worse, 2), answers(good, 1), targets)

    assert not refused.promote
    assert any(reason.startswith("AP50 of dog fell from 0.9") for reason in refused.reasons)
    assert not any("of cat" in reason for reason in refused.reasons)


@pytest.mark.parametrize(("images", "refused"), [(1, False), (2, False), (12, True)])
def test_a_class_of_few_images_does_not_decide(images: int, refused: bool) -> None:
    good, targets = some(40, 0, 1.0)
    cats = targets[..., 4] == CLASSES.index("cat")
    few = np.concatenate([np.flatnonzero(~cats.any(axis=1)), np.flatnonzero(cats.any(axis=1))[:images]])
    worse = good.copy()
    worse[worse[..., 4] > 0] = 0

    decision = decide(
        DETECTION.evaluator.comparison, answers(worse[few], 2), answers(good[few], 1), targets[few]
    )

    assert any(reason.startswith("AP50 of cat fell") for reason in decision.reasons) == refused


def test_boxes_that_fit_any_image_are_a_guess() -> None:
    good, targets = some(60, 1, 0.95)
    constant = np.repeat(detected((moved(CAT, 0.2), 0.4), (OWL, 0.2))[np.newaxis], 60, axis=0)

    assert decide(DETECTION.evaluator.comparison, answers(good, 1), None, targets).promote
    assert not decide(DETECTION.evaluator.comparison, answers(constant, 1), None, targets).promote


def test_images_that_no_champion_head_can_judge_are_left_out() -> None:
    good, targets = some(60, 2, 0.9)
    old = good.copy()
    old[:20] = np.nan
    bad = good.copy()
    bad[:20] = 0

    assert decide(DETECTION.evaluator.comparison, answers(bad, 2), answers(old, 1), targets).promote
    old[:] = np.nan
    refused = decide(DETECTION.evaluator.comparison, answers(good, 2), answers(old, 1), targets)
    assert "no audit label to compare" in refused.reasons[0]
