"""What holds for every kind of label."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.task_types.contract.cases import CASES, CLASSES, Case

from octospoon.domain.acquisition import STRATEGIES
from octospoon.domain.evaluation.gate import Answers, decide
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.tasks import Annotation
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.uncertainty import priority

if TYPE_CHECKING:
    import numpy.typing as npt

V = TypeVar("V")
HISTORY = ClassHistory(CLASSES)
each_type = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def vote(annotator: str, label: str | None, at: int, source: str = "") -> Annotation:
    when = f"2026-01-01T00:00:{at:02d}Z"
    return Annotation("k", "e", f"{annotator}-{at}", at, when, annotator, label, source=source)


def agreed(case: Case[V], *annotations: Annotation) -> Consensus:
    """Return the consensus, and check that it does not depend on the order of delivery."""
    results = {case.task_type.consensus(order, HISTORY) for order in permutations(annotations)}
    assert len(results) == 1
    return results.pop()


def some(case: Case[V], data: st.DataObject) -> str:
    """Return a stored label."""
    return case.form.write(data.draw(case.values))


@each_type
def test_the_name_is_the_setting(case: Case[V]) -> None:
    assert CASES[case.task_type.name] is case


@each_type
@given(data=st.data())
def test_a_stored_label_is_read_as_it_was_written(case: Case[V], data: st.DataObject) -> None:
    one, two = data.draw(case.values), data.draw(case.values)

    assert case.form.read(case.form.write(one)) == one
    assert (case.form.write(one) == case.form.write(two)) == (one == two), "the text is canonical"


@each_type
@given(data=st.data())
def test_a_label_follows_the_history_of_its_classes(case: Case[V], data: st.DataObject) -> None:
    label, labels = some(case, data), case.task_type.labels
    renamed = HISTORY.rename("cat", "kitten", 1.0)
    merged = HISTORY.merge(["cat", "owl"], "pet", 1.0)

    assert labels.current(label, HISTORY) == label
    assert labels.current(label, renamed.undo(2.0)) == label
    assert labels.current(label, merged.undo(2.0)) == label
    assert labels.same(label, str(labels.current(label, renamed)), renamed)
    assert labels.same(label, str(labels.current(label, merged)), merged)
    after = labels.classes(str(labels.current(label, merged)))
    assert set(after) == {"pet" if name in ("cat", "owl") else name for name in labels.classes(label)}
    assert len(list(labels.fates(label, merged))) == len({"cat", "owl"} & {*labels.classes(label)})


@each_type
@given(data=st.data())
def test_only_labels_of_classes_that_existed_are_known(case: Case[V], data: st.DataObject) -> None:
    label, labels = some(case, data), case.task_type.labels

    assert labels.known(label, HISTORY.retire(["cat"], 1.0))
    assert labels.known(label, ClassHistory(("cow", "hen"))) == (not labels.classes(label))


@each_type
@given(data=st.data())
def test_annotators_who_agree_give_their_label(case: Case[V], data: st.DataObject) -> None:
    label = some(case, data)

    assert agreed(case) == Consensus(None, 0.0, 0)
    assert agreed(case, vote("a", label, 1), vote("b", label, 2)) == Consensus(label, 1.0, 2)
    assert agreed(case, vote("a", label, 1), vote("a", None, 2)).label is None, "a skip withdraws the answer"


@each_type
@given(data=st.data())
def test_a_late_second_opinion_changes_no_label(case: Case[V], data: st.DataObject) -> None:
    first, second = some(case, data), some(case, data)

    result = agreed(case, vote("a", first, 1), vote("b", second, 2))

    assert result.label == first
    assert 0 <= result.agreement <= 1
    assert (result.agreement == 1) == (first == second)


@each_type
@given(data=st.data())
def test_two_of_three_annotators_decide(case: Case[V], data: st.DataObject) -> None:
    minority, majority = some(case, data), some(case, data)

    assert (
        agreed(case, vote("a", minority, 1), vote("b", majority, 2), vote("c", majority, 3)).label == majority
    )


@each_type
@given(data=st.data())
def test_an_imported_label_counts_until_somebody_answers(case: Case[V], data: st.DataObject) -> None:
    old, new = some(case, data), some(case, data)

    assert agreed(case, vote("x", old, 1, IMPORTED)) == Consensus(old, 1.0, 0)
    assert agreed(case, vote("x", old, 5, IMPORTED), vote("a", new, 1)) == Consensus(new, 1.0, 1)


@each_type
@given(data=st.data())
def test_a_certain_model_predicts_its_label(case: Case[V], data: st.DataObject) -> None:
    values = data.draw(st.lists(case.values, min_size=1, max_size=4))
    rows = np.stack([case.certain(value) for value in values])

    predicted = case.task_type.predicted(rows, CLASSES)

    assert [each.label for each in predicted] == [case.form.write(value) for value in values]
    assert all(each.confidence == 1 for each in predicted)


@each_type
@given(data=st.data())
def test_uncertainty_is_between_certain_and_ignorant(case: Case[V], data: st.DataObject) -> None:
    certain = case.certain(data.draw(case.values))
    rows = np.stack([certain, (certain + 2 * case.unsure) / 3, case.unsure])

    sure, between, unsure = case.task_type.uncertainties(rows)

    for order in ("least_confidence", "margin", "entropy"):
        lowest, middle, highest = (getattr(each, order) for each in (sure, between, unsure))
        assert lowest == 0
        assert 0 < middle < highest <= 1 + 1e-6
    with pytest.raises(ValueError, match="not finite"):
        case.task_type.uncertainties(rows * np.nan)


@each_type
@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_strategies_compare_what_orders_the_pool(case: Case[V], name: str) -> None:
    rows = np.stack([(case.certain(value) + 2 * case.unsure) / 3 for value in case.every])
    outcomes = case.task_type.outcomes(rows)

    compared = STRATEGIES[name].score(rows if outcomes is None else outcomes)  # type: ignore[misc]

    ordered = [priority(each, name) for each in case.task_type.uncertainties(rows)]
    assert compared.tolist() == pytest.approx(ordered, abs=1e-6)


@each_type
@given(data=st.data())
def test_predictions_follow_the_history_of_classes(case: Case[V], data: st.DataObject) -> None:
    value = data.draw(case.values)
    label, rows = case.form.write(value), case.certain(value)[np.newaxis]
    merged = HISTORY.merge(["cat", "owl"], "pet", 1.0)

    same, new = (case.task_type.translation(history, CLASSES) for history in (HISTORY, merged))

    assert np.array_equal(same(rows), rows)
    assert new.names == merged.names == ("dog", "pet")
    (predicted,) = case.task_type.predicted(new(rows), new.names)
    assert predicted.label == case.task_type.labels.current(label, merged)


def drawn(case: Case[V], count: int, seed: int = 0) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Return labels of all values in turn, and the answers of a model that is certain of them."""
    order = np.random.default_rng(seed).permutation(np.arange(count) % len(case.every))
    values = [case.every[i] for i in order.tolist()]
    return [case.form.write(value) for value in values], np.stack([case.certain(value) for value in values])


def answers(probabilities: npt.NDArray[np.floating], version: int) -> Answers:
    return Answers(ModelSpec(CLASSES, 8, 8, 4, "squash", "b" * 64, version), probabilities, 0.01, 1000)


def blurred(case: Case[V], certain: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the answers of a model that is right, and not quite certain."""
    return (9 * certain + case.unsure) / np.float32(10)


@each_type
def test_predictions_that_are_the_labels_are_right(case: Case[V]) -> None:
    evaluator = case.task_type.evaluator
    labels, certain = drawn(case, 60)
    targets = evaluator.targets(labels, CLASSES)

    assert evaluator.right(certain, targets).all()
    assert not evaluator.right(case.reordered(certain, [2, 0, 1]), targets).all()
    assert evaluator.metric(certain, targets) == 1
    assert np.array_equal(evaluator.confidence(certain), np.ones(60))
    strata = evaluator.strata(targets)
    assert strata.shape == (60,)
    assert strata.min() >= 0


@each_type
def test_predicted_classes_are_counted_as_the_labels_name_them(case: Case[V]) -> None:
    labels, certain = drawn(case, 60)

    named = [name for label in labels for name in case.task_type.labels.classes(label)]
    evaluator = case.task_type.evaluator
    predicted = evaluator.predicted_classes(evaluator.statistics(certain))
    assert predicted.sum(axis=0).tolist() == [named.count(name) for name in CLASSES]


@each_type
def test_estimates_have_intervals_and_need_no_label(case: Case[V]) -> None:
    evaluator = case.task_type.evaluator
    labels, certain = drawn(case, 60)
    targets = evaluator.targets(labels, CLASSES)
    rows = blurred(case, certain)
    rows[:20] = blurred(case, case.reordered(certain, [2, 0, 1]))[:20]

    result = evaluator.evaluate(rows, targets)
    assert result.audit_accuracy.value == pytest.approx(evaluator.metric(rows, targets))
    for estimate in (result.accuracy, result.audit_accuracy, result.log_loss, *result.recall):
        assert estimate.low <= estimate.value <= estimate.high
    assert len(result.recall) == len(CLASSES)
    nothing = evaluator.evaluate(certain[:0], evaluator.targets((), CLASSES))
    assert np.isnan(nothing.accuracy.value)


@each_type
def test_the_gate_passes_an_equal_model_and_no_worse_model(case: Case[V]) -> None:
    evaluator = case.task_type.evaluator
    labels, certain = drawn(case, 60)
    targets, good = evaluator.targets(labels, CLASSES), blurred(case, certain)
    shuffled = good[np.random.default_rng(1).permutation(60)]
    swapped = case.reordered(good, [1, 0, 2])

    assert decide(evaluator.comparison, answers(good, 2), answers(good, 1), targets).promote
    assert decide(evaluator.comparison, answers(good, 1), None, targets).promote
    assert decide(evaluator.comparison, answers(good, 2), answers(shuffled, 1), targets).promote
    for worse in (shuffled, swapped):
        refused = decide(evaluator.comparison, answers(worse, 2), answers(good, 1), targets)
        assert not refused.promote
        assert "worse than the model in service" in refused.reasons[0]


@each_type
def test_the_gate_refuses_what_is_no_prediction(case: Case[V]) -> None:
    evaluator = case.task_type.evaluator
    labels, certain = drawn(case, 60)
    targets, good = evaluator.targets(labels, CLASSES), blurred(case, certain)

    for broken in (good * np.nan, good[..., :-1], good[:30], good + 1):
        assert not decide(evaluator.comparison, answers(broken, 2), answers(good, 1), targets).promote
    wrong = answers(case.reordered(good, [2, 0, 1]), 1)
    assert not decide(evaluator.comparison, wrong, None, targets).promote, "worse than guessing"


@each_type
def test_a_model_keeps_its_answers_in_a_longer_class_list(case: Case[V]) -> None:
    _, certain = drawn(case, 6)

    wide = case.task_type.evaluator.in_classes(answers(certain, 1), ("cat", "cow", "dog", "owl"))

    assert wide is not None
    assert np.array_equal(case.reordered(wide, [0, 2, 3]), certain)
    assert not wide[..., case.leading + 1].any()
