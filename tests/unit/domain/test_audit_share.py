from __future__ import annotations

import pytest

from octospoon.domain.batch.audit_share import Measured, least, planned
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.evaluation.estimators import proportion


@pytest.mark.parametrize("right", [0.6, 0.8, 0.9, 0.95])
def test_as_many_labels_as_needed_give_the_target(right: float) -> None:
    few = proportion(round(60 * right), 60)
    needed = Measured((few.high - few.low) / 2, 60).needed(0.05)

    then = proportion(round(needed * right), needed)

    # the few labels' own share is a little off after rounding, and Wilson's interval shrinks a little faster
    assert 0.04 <= (then.high - then.low) / 2 <= 0.0525


@pytest.mark.parametrize(
    ("labels", "drawn"),
    [(0, 10), (90, 10), (94, 6), (96, 4), (97, 3), (98, 2), (100, 2), (1000, 2)],
)
def test_the_share_shrinks_to_what_is_missing(labels: int, drawn: int) -> None:
    plan = planned(10, 0.05, [Measured(0.1, 25)], labels)  # 25 · (0.1 / 0.05)² = 100 labels

    assert plan.images == drawn
    assert "±10.0 points" in plan.reason
    assert ("whole" in plan.reason) is (drawn == 10)


def test_the_widest_interval_decides() -> None:
    narrow, wide = Measured(0.04, 100), Measured(0.1, 100)

    assert planned(10, 0.05, [narrow], 100).images == 2
    assert planned(10, 0.05, [narrow, wide], 100).images == planned(10, 0.05, [wide], 100).images == 10


@pytest.mark.parametrize(("whole", "smallest"), [(0, 0), (1, 1), (3, 1), (10, 2), (12, 3), (200, 50)])
def test_a_quarter_of_the_share_is_always_drawn(whole: int, smallest: int) -> None:
    assert least(whole) == smallest


@pytest.mark.parametrize("size", [1, 7, 20, 50, 333, 1000])
def test_rules_draw_exactly_the_audit_images_they_are_given(size: int) -> None:
    rules = BatchRules(size, 0.2)

    assert [rules.drawing(n).audit for n in range(size + 1)] == list(range(size + 1))
