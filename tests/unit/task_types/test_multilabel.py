"""What holds for several classes per image alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, precision_score, recall_score
from unit.task_types.contract.test_task_types import HISTORY, vote

from octospoon.domain.errors import BadRequest
from octospoon.domain.evaluation.estimators import bootstrap
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.task_types.multilabel import MULTILABEL, intervals, metrics
from octospoon.domain.task_types.multilabel.estimates import evaluate
from octospoon.domain.task_types.multilabel.gate import paired_bootstrap
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.multilabel.predictions import uncertainties

CAT, CAT_DOG, OWL, NONE = '["cat"]', '["cat","dog"]', '["owl"]', "[]"


def sample(count: int, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and targets of a model that is often right."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(count, classes)) < [0.5, 0.3, 0.2, 0.05][:classes]).astype(np.int64)
    noisy = np.clip(0.15 + 0.7 * targets + rng.normal(0, 0.3, (count, classes)), 0.01, 0.99)
    return noisy, targets


def test_each_class_is_a_vote_of_its_own() -> None:
    votes = vote("a", CAT_DOG, 1), vote("b", CAT, 2), vote("c", '["cat","dog","owl"]', 3)

    assert MULTILABEL.consensus(votes, HISTORY) == Consensus(CAT_DOG, (1 + 2 / 3 + 2 / 3) / 3, 3)


def test_nothing_is_an_answer_and_a_skip_is_none() -> None:
    assert MULTILABEL.consensus([vote("a", NONE, 1)], HISTORY) == Consensus(NONE, 1.0, 1)
    assert MULTILABEL.consensus([vote("a", None, 1)], HISTORY).label is None
    assert MULTILABEL.labels.shown(NONE, HISTORY) == "none of the classes"


def test_merged_classes_are_one_vote_until_an_undo() -> None:
    merged = HISTORY.merge(["cat", "owl"], "pet", 1.0)
    label = MULTILABEL.consensus([vote("a", CAT, 1), vote("b", OWL, 2), vote("c", NONE, 3)], merged).label

    assert label == CAT, "two of three saw a pet"
    assert MULTILABEL.labels.current(label, merged) == '["pet"]'
    assert MULTILABEL.labels.current(label, merged.undo(2.0)) == CAT


def test_a_retired_class_leaves_the_label_not_the_image() -> None:
    retired = HISTORY.retire(["owl"], 1.0)

    assert MULTILABEL.labels.current('["cat","owl"]', retired) == CAT
    assert MULTILABEL.labels.current(OWL, retired) == NONE
    assert MULTILABEL.consensus([vote("a", OWL, 1)], retired) == Consensus(OWL, 1.0, 1)


@pytest.mark.parametrize("text", ["", "cat", "{}", "[1]", '"cat"', "[null]"])
def test_what_is_no_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="JSON list"):
        ClassNames().read(text)


def test_metrics_are_those_of_scikit_learn() -> None:
    probabilities, targets = sample(200)
    said, result = probabilities >= 0.5, evaluate(probabilities, targets)

    assert metrics.macro_f1(probabilities, targets) == pytest.approx(f1_score(targets, said, average="macro"))
    assert metrics.micro_f1(probabilities, targets) == pytest.approx(f1_score(targets, said, average="micro"))
    assert metrics.subset_accuracy(probabilities, targets) == (said == targets).all(axis=1).mean()
    recalls, precisions = (
        recall_score(targets, said, average=None),
        precision_score(targets, said, average=None),
    )
    assert [each.value for each in result.recall] == pytest.approx(recalls.tolist())
    assert [each.value for each in result.precision] == pytest.approx(precisions.tolist())
    each = [log_loss(targets[:, at], probabilities[:, at]) for at in range(4)]
    assert metrics.log_loss(probabilities, targets) == pytest.approx(np.mean(each))
    assert {
        "macro_f1",
        "macro_f1_low",
        "audit_macro_f1",
        "micro_f1",
        "subset_accuracy",
    } <= result.metrics().keys()


def test_uncertainty_does_not_grow_with_the_number_of_classes() -> None:
    few = [0.99, 0.01, 0.01, 0.7]
    many = [0.99, 0.99, 0.99, 0.7]

    one, other = uncertainties(np.array([few, many], np.float32))

    assert other.margin < one.margin
    assert other.entropy < one.entropy


def test_uncertainty_is_expected_errors_per_class() -> None:
    (one,) = uncertainties(np.array([[0.9, 0.4, 0.2]]))

    assert one.margin == pytest.approx((0.1 + 0.4 + 0.2) / (1 + 1.5))


def nearly_right(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions that recognise 99 % of four classes, with 0.3 % false ones."""
    rng = np.random.default_rng(seed)
    there = rng.uniform(size=(count, 4)) < [0.5, 0.3, 0.2, 0.1]
    right = rng.uniform(size=(count, 4)) < np.where(there, 0.99, 0.997)
    return (there == right).astype(np.float64), there.astype(np.int64)


def test_the_interval_of_macro_f1_covers_the_truth() -> None:
    true, covered, by_bootstrap = metrics.macro_f1(*nearly_right(400_000, seed=1)), 0, 0
    for seed in range(120):
        drawn = nearly_right(50, 100 + seed)
        interval = intervals.macro_f1(*drawn)
        covered += interval.low <= true <= interval.high
        plain = bootstrap(metrics.macro_f1, *drawn)
        by_bootstrap += plain.low <= true <= plain.high

    assert covered >= 110
    assert by_bootstrap < 100, "the percentile bootstrap has no outcome that the sample lacks"


def rarely_there(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions of thirty rare classes, of which 80 % are recognised, with 1 % false ones."""
    rng = np.random.default_rng(seed)
    there = rng.uniform(size=(count, 30)) < 0.06
    predicted = rng.uniform(size=there.shape) < np.where(there, 0.8, 0.01)
    return predicted.astype(np.float64), there.astype(np.int64)


def test_the_interval_of_many_rare_classes_covers_the_truth() -> None:
    true = metrics.macro_f1(*rarely_there(100_000, seed=1))
    ends = [intervals.macro_f1(*rarely_there(100, 100 + seed)) for seed in range(100)]

    assert sum(each.low <= true <= each.high for each in ends) >= 93
    assert np.mean([each.high - each.low for each in ends]) < 0.15, "the interval says something"


def test_an_audit_share_without_a_mistake_proves_no_perfection() -> None:
    targets = np.array([[1, 0], [0, 1], [1, 1]] * 7)
    measured = MULTILABEL.evaluator.evaluate(targets.astype(np.float64), targets)

    assert measured.accuracy.value == 1
    assert measured.accuracy.low == pytest.approx(2 * 0.845361 / 1.845361, abs=1e-6), "Wilson's of 21 images"
    assert measured.accuracy.high == 1


def test_a_paired_bootstrap_covers_the_true_difference() -> None:
    probabilities, targets = sample(20_000, seed=1)
    worse = np.where(np.random.default_rng(2).uniform(size=probabilities.shape) < 0.1, 0.5, probabilities)
    true = metrics.macro_f1(probabilities, targets) - metrics.macro_f1(worse, targets)
    covered = 0
    for seed in range(60):
        rows = np.random.default_rng(100 + seed).integers(20_000, size=150)
        interval = paired_bootstrap(probabilities[rows], worse[rows], targets[rows]).interval
        covered += interval.low <= true <= interval.high

    assert 52 <= covered <= 60
