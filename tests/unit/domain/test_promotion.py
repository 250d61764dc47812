from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.promotion import Answers, decide

SPEC = ModelSpec(("a", "b", "c"), 32, 32, 8, "squash", "0" * 64, 2)
OLD = replace(SPEC, version=1)


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 3


def right_but_for(n: int, wrong: int) -> np.ndarray:
    answers = labels(n).copy()
    answers[:wrong] = (answers[:wrong] + 1) % 3
    return np.eye(3)[answers] * 0.94 + 0.02


def judged(n: int, wrong: int, wrong_before: int):
    new, old = Answers(SPEC, right_but_for(n, wrong)), Answers(OLD, right_but_for(n, wrong_before))
    return decide(new, old, labels(n))


@pytest.mark.parametrize(
    ("n", "wrong", "before", "promote"),
    [
        (10, 0, 0, True),
        (10, 1, 0, True),  # one answer out of ten shows nothing
        (10, 2, 0, False),
        (50, 2, 0, True),
        (50, 3, 0, False),
        (50, 0, 9, True),
        (1000, 15, 0, True),  # within the margin of 2 points
        (1000, 30, 0, False),
    ],
)
def test_a_loss_is_judged_by_what_the_labels_can_show(n, wrong, before, promote):
    assert judged(n, wrong, before).promote is promote


def test_models_that_are_equally_good_are_rarely_refused():
    rng = np.random.default_rng(0)
    for n in (10, 30, 50, 200):
        refused = 0
        for _ in range(300):
            wrong = rng.uniform(size=(2, n)) < 0.05
            answers = [np.eye(3)[(labels(n) + each) % 3] for each in wrong]
            new, old = Answers(SPEC, answers[0]), Answers(OLD, answers[1])
            refused += not decide(new, old, labels(n)).promote
        assert refused / 300 < 0.12


def test_the_first_model_with_classes_needs_no_comparison():
    new = Answers(SPEC, right_but_for(6, 3))
    assert decide(new, None, labels(6)).promote
    cold = replace(SPEC, classes=(), version=0)
    assert decide(new, Answers(cold, None), labels(6)).promote
    assert decide(Answers(SPEC, np.empty((0, 3))), None, labels(0)).promote


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (Answers(SPEC, np.full((6, 3), np.nan)), "not finite"),
        (Answers(SPEC, np.full((6, 3), 0.5)), "sum to one"),
        (Answers(SPEC, np.full((5, 3), 1 / 3)), r"\(5, 3\) for 6 images"),
        (Answers(SPEC, None), "no classes"),
        (Answers(replace(SPEC, classes=("a", "c", "b")), right_but_for(6, 0)), "the classes changed"),
        (Answers(replace(SPEC, version=1), right_but_for(6, 0)), "not newer"),
    ],
)
def test_what_is_not_shown_is_refused(new, reason):
    decision = decide(new, Answers(OLD, right_but_for(6, 0)), labels(6))
    assert not decision.promote
    assert re.search(reason, "; ".join(decision.reasons))


def test_an_older_version_is_refused_even_after_a_cold_start_model():
    cold = Answers(replace(SPEC, classes=(), version=7), None)
    assert not decide(Answers(SPEC, right_but_for(6, 0)), cold, labels(6)).promote


def test_without_audit_labels_nothing_replaces_a_model_in_service():
    nothing = np.empty((0, 3))
    decision = decide(Answers(SPEC, nothing), Answers(OLD, nothing), labels(0))
    assert not decision.promote
    assert "audit" in decision.reasons[0]
