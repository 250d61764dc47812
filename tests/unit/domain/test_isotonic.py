from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from octospoon.domain.evaluation.isotonic import last_reached, rising


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_fit_is_that_of_scikit_learn(values):
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    assert rising(np.array([values, values]))[1] == pytest.approx(expected, abs=1e-9)


def test_labels_are_read_off_between_measured_points():
    fitted = np.array([0.5, 0.6, 0.7, 0.7, 0.9])
    labels = np.array([10, 20, 30, 40, 50])
    targets = np.array([0.55, 0.6, 0.7, 0.8, 0.1, 0.5, 0.9, 0.95])
    reached = last_reached(targets, labels, np.tile(fitted, (8, 1)))
    assert reached == pytest.approx([15, 20, 40, 45, 10, 10, 50, np.inf])


def test_a_level_curve_reaches_its_own_height_at_its_end():
    assert last_reached(np.array([0.5]), np.array([10, 20]), np.array([[0.5, 0.5]])) == [20]
    assert last_reached(np.array([0.5]), np.array([10]), np.array([[0.5]])) == [10]
