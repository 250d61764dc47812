from __future__ import annotations

import numpy as np
import pytest
from bench import head_rivals, heads
from bench.head_rivals import RIVALS, Task, accuracy_and_calibration
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression


def task(count: int = 60, classes: int = 3, seed: int = 0) -> Task:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((classes, 20))
    labels = rng.integers(0, classes, count + 200)
    points = (centres[labels] + rng.standard_normal((count + 200, 20))).astype(np.float32)
    return Task(points[:count], labels[:count], classes, (8, 12), points[count:])


@pytest.mark.parametrize("head", RIVALS)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_head_learns_and_gives_probabilities(head, classes):
    made, others = task(classes=classes), task(300, classes=classes, seed=1)
    accuracy, balanced, loss, error = accuracy_and_calibration(
        RIVALS[head](made), others.points, others.labels
    )
    assert accuracy > 0.85
    assert balanced > 0.85
    assert loss < 0.45
    assert 0 <= error < 0.2


@pytest.mark.parametrize("head", RIVALS)
def test_one_class_and_missing_classes_are_borne(head):
    made = task(6)
    for labels in (np.zeros(6, np.int64), np.array([0, 0, 1, 1, 0, 1])):
        line = RIVALS[head](made._replace(labels=labels))
        assert line.weights.shape == (20, 3)
        assert np.isfinite(line.bias).all()


def test_the_logistic_head_is_that_of_scikit_learn():
    made = task()
    points = made.points.astype(np.float64)
    lines = head_rivals._logistic(points, made.labels, 3, (1.0, 10.0))
    peer = LogisticRegression(C=10.0, max_iter=1000, tol=1e-6).fit(points, made.labels)
    logits = points @ lines[10.0].weights + lines[10.0].bias
    assert np.allclose(softmax(logits, axis=1), peer.predict_proba(points), atol=0.02)


def test_guesses_that_mislead_are_not_trained_on():
    made = task()
    first = head_rivals._fitted(made)
    wrong = (first.logits(made.pool).argmax(axis=1) + 1) % 3
    kept = head_rivals._guarded(made, first, np.arange(len(made.pool)), wrong)
    assert kept.weights is first.weights


def test_tables_compare_with_the_first_head():
    rows = [[[0.5, 0.5, 1.0, 0.1, 0.01]] * 6, [[0.6, 0.5, 1.0, 0.1, 0.01]] * 6]
    better = [[[0.7, 0.5, 1.0, 0.1, 0.02]] * 6, [[0.8, 0.5, 1.0, 0.1, 0.02]] * 6]
    results = {("a", "both", "random", "logistic"): rows, ("a", "both", "random", "ridge"): better}
    lines = list(heads.tables(results, ["logistic", "ridge"]))
    assert "| a | both | logistic | " + " | ".join(["55.0"] * 6) + " |" in lines
    assert "| a | both | ridge | " + " | ".join(["+20.0 ± 0.0"] * 6) + " |" in lines
    assert "| worst set, accuracy | ridge | " + " | ".join(["+20.0"] * 6) + " |" in lines
