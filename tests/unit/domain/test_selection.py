from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.acquisition import strategy
from octospoon.domain.batch.compose import BatchRules, candidates_wanted, compose, strategy_for
from octospoon.domain.batch.draw import Draw
from octospoon.domain.batch.limits import Limits
from octospoon.domain.monitoring.observations import DriftExample
from octospoon.domain.pool.images import Candidate, PoolRow, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL


def candidates(n: int) -> list[Candidate]:
    return [Candidate(f"k{i:03d}", f"e{i}", None, i / n) for i in range(n)]


def rows(n: int, *, head: bool = True, backbone: str = "b") -> dict[str, PoolRow]:
    rng = np.random.default_rng(0)
    return {
        f"k{i:03d}": PoolRow(
            f"k{i:03d}",
            f"e{i}",
            State.SCORED,
            1,
            backbone,
            rng.standard_normal(6).astype(np.float32),
            rng.dirichlet(np.ones(4)).astype(np.float32) if head else None,
        )
        for i in range(n)
    }


def batch(n=10, share=0.2, size=100, name="margin_diverse", head=True, rule_changes=(), **changes):
    rules = BatchRules(n, share, **dict(rule_changes))
    given = {
        "rules": rules,
        "drawn": Draw(candidates(size)[-(rules.audit + rules.control) or size :], size),
        "candidates": candidates(size),
        "rows": rows(size, head=head),
        "chosen": strategy_for(name, has_head=head),
        "task_type": CLASSIFICATION,
        "seed": "round-1",
    }
    return compose(**given | changes)


# 0.53 wrong decisions are expected, and 1.51 classes
@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("margin_diverse", 0.53 / 2.51),
        ("margin", 0.53 / 2.51),
        ("power_margin", 0.53 / 2.51),
        ("entropy", 0.4863),
        ("least_confidence", 0.53 / 2.51 / 2),
    ],
)
def test_several_classes_are_chosen_by_expected_wrong_decisions(name, score):
    known = rows(40)
    # to a strategy for one class, the first is as unsure as can be
    shares = {"k000": [0.99, 0.99, 0.01, 0.01], "k001": [0.99, 0.5, 0.01, 0.01]}
    for key, row in known.items():
        sure = shares.get(key, [0.01, 0.99, 0.99, 0.99])
        known[key] = replace(row, probabilities=np.array(sure, np.float16))

    picks = batch(n=1, share=0, size=40, name=name, rows=known, task_type=MULTILABEL)

    assert [pick.key for pick in picks] == ["k001"]
    assert picks[0].score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("name", ["margin_diverse", "margin", "random", "typiclust", "power_margin"])
@pytest.mark.parametrize("head", [True, False])
def test_a_batch_holds_its_audit_share_and_nothing_twice(name, head):
    picks = batch(name=name, head=head)
    assert len({pick.key for pick in picks}) == len(picks) == 10
    audit = [pick for pick in picks if pick.audit]
    assert [(pick.strategy, pick.draw_probability) for pick in audit] == [("random", 0.02)] * 2
    assert {pick.draw_probability for pick in picks if not pick.audit} == {None}
    assert [pick.rank for pick in picks] == list(range(10))
    assert all(pick.etag == f"e{int(pick.key[1:])}" for pick in picks)


def test_audit_is_a_uniform_draw_even_among_the_strategys_favourites():
    chosen = batch(share=0.0)
    drawn = [Candidate(pick.key, pick.etag, None, 0.5) for pick in chosen[:2]]
    picks = batch(drawn=Draw(drawn, 100))
    assert {pick.key for pick in picks if pick.audit} == {candidate.key for candidate in drawn}
    assert len({pick.key for pick in picks}) == 10


def test_the_audit_is_spread_over_the_batch():
    picks = batch(n=50, share=0.2, size=200)
    ranks = [pick.rank for pick in picks if pick.audit]
    assert min(ranks) < 15
    assert max(ranks) > 34


def test_scores_are_the_strategys():
    picks = batch(name="margin")
    given = rows(100)
    for pick in picks:
        if not pick.audit:
            expected = strategy("margin").score(given[pick.key].probabilities[np.newaxis])[0]  # type: ignore[misc]
            assert pick.score == pytest.approx(float(expected))


def test_a_cold_start_takes_typical_images():
    assert {pick.strategy for pick in batch(head=False) if not pick.audit} == {"typiclust"}
    assert strategy_for("random", has_head=False).name == "random"


def test_candidates_without_a_row_or_of_another_backbone_are_skipped():
    mixed = rows(100) | rows(10, backbone="old")
    del mixed["k050"]
    keys = {pick.key for pick in batch(n=99, rows=mixed, share=0.0)}
    assert keys == {f"k{i:03d}" for i in range(10, 100)} - {"k050"}


@pytest.mark.parametrize("size", [0, 1, 3])
def test_a_small_pool_gives_a_small_batch(size):
    assert len(batch(size=size, drawn=Draw(candidates(size)[:2], size))) == size


def test_row_order_does_not_matter():
    given = candidates(100)
    assert batch(candidates=given[::-1]) == batch(candidates=given)


def test_how_many_candidates_are_asked_for():
    assert candidates_wanted(50, strategy("margin_diverse")) == 500
    assert candidates_wanted(50, strategy("typiclust")) == 2000


def test_control_share_is_a_uniform_draw_used_for_training():
    picks = batch(n=20, share=0.2, rule_changes={"control_share": 0.1})
    control = [pick for pick in picks if pick.strategy == "random" and not pick.audit]
    assert [pick.draw_probability for pick in control] == [0.02] * 2
    assert [pick.draw_probability for pick in picks if pick.audit] == [0.04] * 4
    assert {pick.strategy for pick in picks} == {"random", "margin_diverse"}
    assert len({pick.key for pick in picks}) == len(picks) == 20


def test_shares_over_a_whole_batch_leave_the_audit_share():
    rules = BatchRules(10, 0.7, control_share=0.7)
    assert (rules.audit, rules.control) == (7, 3)


DRIFTED = tuple(DriftExample(f"k{i:03d}", f"e{i}", 0.5 - i / 1000) for i in range(40, 0, -2))


def by_drift(picks) -> list[str]:
    return sorted(pick.key for pick in picks if pick.strategy == "drift")


def test_most_drifted_images_have_a_share_beside_drawn_shares():
    changes = {"control_share": 0.1, "drift_share": 0.3}
    picks = batch(n=20, rule_changes=changes, drifted=DRIFTED)
    without = batch(n=20, rule_changes=changes)
    assert by_drift(picks) == [f"k{i:03d}" for i in (2, 4, 6, 8, 10, 12)]
    assert {pick.score for pick in picks if pick.strategy == "drift"} == {
        0.5 - i / 1000 for i in (2, 4, 6, 8, 10, 12)
    }
    assert {(pick.audit, pick.draw_probability) for pick in picks if pick.strategy == "drift"} == {
        (False, None)
    }
    drawn = [[pick for pick in selection if pick.strategy == "random"] for selection in (picks, without)]
    assert [replace(pick, rank=0) for pick in drawn[0]] == [replace(pick, rank=0) for pick in drawn[1]]
    assert len({pick.key for pick in picks}) == len(picks) == 20
    assert [pick.rank for pick in picks] == list(range(20))
    assert batch(n=20, rule_changes=changes, drifted=DRIFTED[::-1]) == picks


def test_unavailable_drifted_images_are_replaced_by_the_strategys():
    given = rows(100)
    given["k002"] = replace(given["k002"], state=State.LABELLED)
    given["k004"] = replace(given["k004"], state=State.CLAIMED)
    given["k006"] = replace(given["k006"], etag="newer")
    del given["k008"]
    drawn = Draw([Candidate("k010", "e10", None, 0.5), Candidate("k099", "e99", None, 0.5)], 100)
    drifted = [image for image in DRIFTED if image.key <= "k014"]
    picks = batch(rule_changes={"drift_share": 0.5}, rows=given, drawn=drawn, drifted=drifted)
    assert by_drift(picks) == ["k012", "k014"]
    assert Counter(pick.strategy for pick in picks) == {"random": 2, "drift": 2, "margin_diverse": 6}
    assert len({pick.key for pick in picks}) == 10


def test_of_near_copies_that_drifted_one_is_taken():
    same = {
        key: replace(row, embedding=np.ones(6, np.float32)) if key < "k020" else row
        for key, row in rows(100).items()
    }
    changes = {"drift_share": 0.4, "limits": Limits(0.001, 0.1, 0.1)}
    picks = batch(n=20, rows=same, rule_changes=changes, drifted=DRIFTED)
    assert by_drift(picks) == [f"k{i:03d}" for i in (2, *range(20, 34, 2))]
    assert by_drift(batch(n=20, rows=same, rule_changes=changes, drifted=DRIFTED[-5:])) == ["k002"]


def test_the_drift_share_is_what_audit_and_control_leave():
    assert BatchRules(10, 0.7, control_share=0.2, drift_share=0.7).drift == 1
    assert BatchRules(10, 0.7, control_share=0.7, drift_share=0.7).drift == 0
    assert BatchRules(50, 0.2, drift_share=0.1).drift == 5
    assert not by_drift(batch(rule_changes={"drift_share": 0.0}, drifted=DRIFTED))


def test_limits_bind_the_strategys_choice_alone():
    same = {
        key: replace(row, embedding=np.ones(6, np.float32) + np.float32(int(key[1:]) // 10))
        for key, row in rows(100).items()
    }
    alone = batch(n=10, share=0.0, rows=same, rule_changes={"limits": Limits(class_quota=0.3)})
    assert max(Counter(int(same[pick.key].probabilities.argmax()) for pick in alone).values()) <= 3
    drawn = batch(name="random", rule_changes={"limits": Limits(0.5, 0.1, 0.1)})
    assert drawn == batch(name="random")
