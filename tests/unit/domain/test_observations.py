from __future__ import annotations

from octospoon.domain.evaluation.estimators import Estimate
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import HISTORY, ObservedDay, remembered

FINDING = DriftResult(Level.NONE, 500, 0.5, 0.5, 0.5)
ACCURACY = Estimate(0.9, 0.8, 0.95, 40)


def test_a_day_keeps_its_finding_and_its_last_accuracy():
    first = remembered((), ObservedDay("2026-01-01", 1, None, FINDING))
    later = remembered(first, ObservedDay("2026-01-01", 1, ACCURACY, None))
    assert later == (ObservedDay("2026-01-01", 1, ACCURACY, FINDING),)
    assert remembered(later, ObservedDay("2026-01-02", 1, ACCURACY, None))[:-1] == later
    assert remembered(later, ObservedDay("2026-01-01", 2, ACCURACY, None))[:-1] == later


def test_a_day_on_which_nothing_was_seen_is_not_remembered():
    assert remembered((), ObservedDay("2026-01-01", 1, None, None)) == ()


def test_the_newest_days_are_remembered():
    days: tuple[ObservedDay, ...] = ()
    for i in range(HISTORY + 5):
        days = remembered(days, ObservedDay(f"day {i}", 1, ACCURACY, None))
    assert [day.day for day in days] == [f"day {i}" for i in range(5, HISTORY + 5)]
