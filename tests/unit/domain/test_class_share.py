"""The share of a batch for added classes that have few labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from octospoon.domain.acquisition import STRATEGIES
from octospoon.domain.batch.class_share import ENOUGH, NEW_CLASS, examples, sought
from octospoon.domain.batch.compose import BatchRules, compose
from octospoon.domain.batch.draw import Draw
from octospoon.domain.batch.selection import CLASS_SHARE, selection
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import Candidate, PoolRow, State
from octospoon.domain.task_types.classification import CLASSIFICATION

HISTORY = ClassHistory(("cat", "dog")).add(["owl"], 1.0)
OLD, NEW = ("cat", "dog"), ("cat", "dog", "owl")


def row(key: str, *shares: float) -> PoolRow:
    embedding = np.random.default_rng(int(key)).normal(size=8).astype(np.float32)
    return PoolRow(key, f"e{key}", State.SCORED, 1, "b", embedding, np.array(shares, np.float32))


def translated(model):
    return CLASSIFICATION.translation(HISTORY, model)


def test_an_added_class_is_sought_until_it_has_labels() -> None:
    assert sought(HISTORY, {}) == {"owl": 0}
    assert sought(HISTORY, {"owl": ENOUGH - 1, "cat": 1}) == {"owl": ENOUGH - 1}
    assert sought(HISTORY, {"owl": ENOUGH}) == {}
    assert sought(ClassHistory(OLD), {}) == {}, "the first classes have no share"


def test_a_changed_class_is_sought_by_what_it_is_now() -> None:
    assert sought(HISTORY.rename("owl", "bird", 2.0), {"owl": 3}) == {"bird": 3}
    assert sought(HISTORY.merge(["owl"], "cat", 2.0), {"cat": ENOUGH, "owl": 1}) == {}
    assert sought(HISTORY.retire(["owl"], 2.0), {}) == {}
    assert sought(HISTORY.undo(2.0), {}) == {}


def test_without_labels_the_least_certain_images_are_promising() -> None:
    rows = [row("1", 0.9, 0.1), row("2", 0.5, 0.5), row("3", 0.2, 0.8), row("4", 0.2, 0.3, 0.5)]
    promising = examples(rows, OLD, translated(OLD), {"owl": 0})
    assert [example.key for example in promising] == ["2", "3", "1"], "another model scored the fourth"


def test_without_labels_the_farthest_images_are_promising() -> None:
    rows = [row(str(i), 0.5, 0.5) for i in range(4)]
    near = [replace(rows[0], key="8"), replace(rows[2], key="9", embedding=2 * rows[2].embedding)]
    promising = examples(rows, OLD, translated(OLD), {"owl": 0}, near)
    assert {example.key for example in promising[:2]} == {"1", "3"}
    assert [round(example.score, 6) for example in promising[2:]] == [0.0, 0.0]
    other = [replace(near_row, backbone="c") for near_row in near]
    assert [example.score for example in examples(rows, OLD, translated(OLD), {"owl": 0}, other)] == [0.5] * 4


def test_with_labels_the_likeliest_images_are_promising() -> None:
    rows = [row("1", 0.9, 0.05, 0.05), row("2", 0.5, 0.5, 0.0), row("3", 0.2, 0.2, 0.6)]
    assert [example.key for example in examples(rows, NEW, translated(NEW), {"owl": 1})] == ["3", "1", "2"]
    assert examples([], NEW, translated(NEW), {"owl": 1}) == []


def test_the_share_comes_after_the_audit_and_names_itself() -> None:
    rows = {str(i): row(str(i), 0.6, 0.4) for i in range(40)}
    images = [Candidate(key, f"e{key}", 0.5, 0.1) for key in rows]
    promising = examples([rows["30"], rows["31"], rows["0"]], OLD, translated(OLD), {"owl": 0})
    rules = BatchRules(10, 0.2, class_share=0.2)

    picks = compose(
        rules=rules,
        drawn=Draw(images[:2], 40),
        candidates=images,
        rows=rows,
        chosen=STRATEGIES["margin"],
        task_type=CLASSIFICATION,
        seed="s",
        promising=promising,
    )

    assert len(picks) == 10
    assert {pick.key for pick in picks if pick.audit} == {"0", "1"}
    new = [pick for pick in picks if pick.strategy == NEW_CLASS]
    assert {pick.key for pick in new} == {"30", "31"}
    assert all(pick.draw_probability is None and pick.score is not None for pick in new)
    image = LabelledImage(
        "30", "e", "owl", 1.0, 1, audit=False, strategy=NEW_CLASS, draw_probability=None, round_number=1
    )
    assert selection(image) == CLASS_SHARE


def test_the_share_is_what_the_other_shares_leave() -> None:
    assert BatchRules(50, 0.2, class_share=0.2).new_classes == 10
    assert BatchRules(10, 0.7, drift_share=0.3, class_share=0.5).new_classes == 0
