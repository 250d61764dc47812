from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.evaluation import gate
from octospoon.domain.evaluation.gate import decide
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.task_types.classification.evaluation import ClassificationEvaluator

GATE = ClassificationEvaluator().comparison
SPEC = ModelSpec(("a", "b", "c"), 32, 32, 8, "squash", "0" * 64, 2)
OLD = replace(SPEC, version=1)


def Answers(spec: ModelSpec, probabilities, seconds=0.01, size=1000, parity_gap=0.0, served=None):  # noqa: N802
    return gate.Answers(spec, probabilities, seconds, size, parity_gap, served)


def labels(n: int) -> np.ndarray:
    return np.arange(n) % 3


def right_but_for(n: int, wrong: int) -> np.ndarray:
    answers = labels(n).copy()
    answers[:wrong] = (answers[:wrong] + 1) % 3
    return np.eye(3)[answers] * 0.94 + 0.02


def judged(n: int, wrong: int, wrong_before: int):
    new, old = Answers(SPEC, right_but_for(n, wrong)), Answers(OLD, right_but_for(n, wrong_before))
    return decide(GATE, new, old, labels(n))


@pytest.mark.parametrize(
    ("n", "wrong", "before", "promote"),
    [
        (10, 0, 0, True),
        (10, 1, 0, True),  # one answer of ten is no evidence
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
            answers = [np.eye(3)[(labels(n) + shift) % 3] * 0.94 + 0.02 for shift in wrong]
            new, old = Answers(SPEC, answers[0]), Answers(OLD, answers[1])
            refused += not decide(GATE, new, old, labels(n)).promote
        assert refused / 300 < 0.12, n


def test_the_first_model_with_classes_needs_no_comparison():
    new = Answers(SPEC, right_but_for(6, 3))
    assert decide(GATE, new, None, labels(6)).promote
    cold = replace(SPEC, classes=(), version=0)
    assert decide(GATE, new, Answers(cold, None), labels(6)).promote
    assert decide(GATE, Answers(SPEC, np.empty((0, 3))), None, labels(0)).promote


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
    decision = decide(GATE, new, Answers(OLD, right_but_for(6, 0)), labels(6))
    assert not decision.promote
    assert re.search(reason, "; ".join(decision.reasons))


WIDER = replace(SPEC, classes=("a", "b", "c", "new"))


def of_new(n: int, wrong: int, added: int, missed: int):
    """Return answers of a model with an added class, and labels: n of old classes, then of the added one."""
    answers = np.eye(4)[np.r_[right_but_for(n, wrong).argmax(axis=1), np.full(added, 3)]] * 0.92 + 0.02
    answers[n : n + missed] = np.eye(4)[0] * 0.92 + 0.02
    return Answers(WIDER, answers), np.r_[labels(n), np.full(added, 3)]


@pytest.mark.parametrize(("wrong", "promote"), [(0, True), (2, True), (3, False), (9, False)])
def test_additional_class_is_judged_on_the_shared_classes(wrong, promote):
    new, truth = of_new(50, wrong, 20, 5)
    old = Answers(OLD, np.r_[right_but_for(50, 0), np.full((20, 3), 1 / 3)])
    decision = decide(GATE, new, old, truth)
    assert decision.promote is promote, decision.reasons
    assert decision.reasons[-1] == (
        "new class new: 15 of 20 audit images recognised, 0 of 50 others mistaken for it"
    )
    assert "on 50 audit images" in decision.reasons[0]


def test_new_class_may_take_some_images_but_not_most():
    for taken, promote in ((10, True), (25, True), (40, False)):
        new, truth = of_new(50, 0, 0, 0)
        new.probabilities[:taken] = new.probabilities[:taken] / 3
        new.probabilities[:taken, 3] += 2 / 3
        decision = decide(GATE, new, Answers(OLD, right_but_for(50, 0)), truth)
        assert decision.promote is promote, decision.reasons
        assert f"{taken} of 50 others mistaken for it" in decision.reasons[-1]


def test_additional_class_needs_audit_labels_of_the_shared_classes():
    new, truth = of_new(0, 0, 20, 0)
    decision = decide(GATE, new, Answers(OLD, np.full((20, 3), 1 / 3)), truth)
    assert not decision.promote
    assert "no audit label" in decision.reasons[0]


def test_new_class_may_come_between_others_in_unchanged_order():
    new, truth = of_new(30, 0, 0, 0)
    moved = replace(new.spec, classes=("a", "new", "b", "c"))
    new = Answers(moved, new.probabilities[:, [0, 3, 1, 2]])
    truth = np.array([0, 2, 3])[truth]
    assert decide(GATE, new, Answers(OLD, right_but_for(30, 0)), truth).promote
    for classes in (("b", "a", "c", "new"), ("a", "b", "new", "other"), ("a", "b"), ("a", "B", "c", "new")):
        wide = np.full((30, len(classes)), 1 / len(classes))
        decision = decide(
            GATE,
            Answers(replace(SPEC, classes=classes), wide),
            Answers(OLD, right_but_for(30, 0)),
            truth,
        )
        assert not decision.promote
        assert "the classes changed from a, b, c" in decision.reasons[0]


def test_model_without_a_project_class_is_refused_by_name():
    good = judged(50, 0, 0)
    assert gate.of_project(good, ("a", "b", "c"), ()) == good
    assert gate.of_project(good, ("a", "b", "c"), ("a", "c")) == good
    refused = gate.of_project(good, ("a", "b", "c"), ("a", "b", "c", "new"))
    assert not refused.promote
    assert "the project has new now" in refused.reasons[0]


def test_older_version_is_refused_even_after_a_cold_start_model():
    cold = Answers(replace(SPEC, classes=(), version=7), None)
    assert not decide(GATE, Answers(SPEC, right_but_for(6, 0)), cold, labels(6)).promote


def test_without_audit_labels_nothing_replaces_a_model_in_service():
    nothing = np.empty((0, 3))
    decision = decide(GATE, Answers(SPEC, nothing), Answers(OLD, nothing), labels(0))
    assert not decision.promote
    assert "audit" in decision.reasons[0]


def test_equally_accurate_model_that_lost_a_class_is_refused():
    """Its gain in one class equals its loss in another."""
    truth = np.repeat([0, 1, 2], [20, 20, 60])
    new, old = truth.copy(), truth.copy()
    new[:20], old[20:40] = 2, 2
    answers = [np.eye(3)[classes] * 0.94 + 0.02 for classes in (new, old)]
    decision = decide(GATE, Answers(SPEC, answers[0]), Answers(OLD, answers[1]), truth)
    assert not decision.promote
    assert decision.reasons == ("recall of a fell from 1.000 to 0.000 on 20 audit images",)


def test_undeclared_swap_of_classes_is_refused():
    good = right_but_for(50, 2)
    assert not decide(GATE, Answers(SPEC, good[:, [1, 0, 2]]), Answers(OLD, good), labels(50)).promote


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"parity_gap": 1e-3}, "differ by 0.001"),
        ({"parity_gap": float("nan")}, "differ by nan"),
        ({"size": 500_000_000}, "500,000,000 bytes"),
        ({"seconds": 0.4}, "0.400 s, more than 0.300 s"),
        ({"seconds": 3.0}, "3.000 s"),
    ],
)
def test_model_that_is_expensive_or_inconsistent_is_refused(bad, reason):
    good = right_but_for(6, 0)
    for champion in (Answers(OLD, good, seconds=0.1), None):
        decision = decide(GATE, Answers(SPEC, good, **bad), champion, labels(6))
        if champion is None and bad.get("seconds") == 0.4:
            assert decision.promote, "there is nothing that it is slower than"
        else:
            assert not decision.promote
            assert (reason in decision.reasons[0]) or champion is None


def test_what_nobody_notices_is_not_too_slow():
    good = right_but_for(6, 0)
    new = Answers(SPEC, good, seconds=0.02)
    assert decide(GATE, new, Answers(OLD, good, seconds=0.001), labels(6)).promote


def test_equally_accurate_but_overconfident_model_is_refused():
    rng = np.random.default_rng(0)
    right = rng.uniform(size=200) < 0.7
    answers = (labels(200) + ~right) % 3
    honest = np.eye(3)[answers] * 0.55 + 0.15
    bold = np.eye(3)[answers] * 0.997 + 0.001
    reasons = "; ".join(decide(GATE, Answers(SPEC, bold), Answers(OLD, honest), labels(200)).reasons)
    assert "log loss rose" in reasons
    assert "overconfident" in reasons
    assert decide(GATE, Answers(SPEC, honest), Answers(OLD, bold), labels(200)).promote
    assert decide(GATE, Answers(SPEC, bold), Answers(OLD, bold), labels(200)).promote, "no worse than before"


def test_a_first_model_that_is_worse_than_guessing_is_refused():
    decision = decide(GATE, Answers(SPEC, right_but_for(40, 38)), None, labels(40))
    assert not decision.promote
    assert "worse than guessing" in decision.reasons[0]


def test_five_points_worse_is_refused_and_better_is_promoted():
    assert not judged(100, 10, 5).promote
    assert judged(100, 5, 10).promote


def test_served_head_worse_than_its_judges_is_refused():
    good, spoiled = right_but_for(40, 1), right_but_for(40, 30)
    decision = decide(GATE, Answers(SPEC, good, served=spoiled), Answers(OLD, good), labels(40))
    assert not decision.promote
    assert "do not match" in decision.reasons[0]
    assert not decide(GATE, Answers(SPEC, good, served=spoiled), None, labels(40)).promote
    assert decide(
        GATE, Answers(SPEC, good, served=right_but_for(40, 0)), Answers(OLD, good), labels(40)
    ).promote


def test_images_that_no_head_can_judge_are_left_out():
    new, old = right_but_for(60, 0), right_but_for(60, 0)
    old[:20] = np.nan
    decision = decide(GATE, Answers(SPEC, new), Answers(OLD, old), labels(60))
    assert decision.promote
    assert "on 40 audit images" in decision.reasons[0]
    old[:] = np.nan
    refused = decide(GATE, Answers(SPEC, new), Answers(OLD, old), labels(60))
    assert not refused.promote
    assert "no audit label to compare" in refused.reasons[0]
