"""What holds for every kind of label."""

from __future__ import annotations

from itertools import permutations
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.task_types.contract.cases import CASES, CLASSES, Case

from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.tasks import Annotation

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
