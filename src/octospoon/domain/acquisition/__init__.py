"""Acquisition strategies: one file each, plain functions over arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.acquisition import (
    entropy,
    least_confidence,
    margin,
    margin_diverse,
    power_margin,
    random,
    typiclust,
)
from octospoon.domain.acquisition.scores import uncertainties, uncertainty
from octospoon.domain.acquisition.strategy import Candidates, Strategy, by_score
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from octospoon.domain.images import Uncertainty

__all__ = ["STRATEGIES", "Candidates", "Strategy", "priority", "strategy", "uncertainties", "uncertainty"]


STRATEGIES: dict[str, Strategy] = {
    each.name: each
    for each in (
        Strategy("least_confidence", least_confidence.select, least_confidence.score, "least_confidence"),
        Strategy("margin", margin.select, margin.score, "margin"),
        Strategy("entropy", by_score(entropy.score), entropy.score, "entropy"),
        Strategy("random", random.select),
        Strategy("power_margin", power_margin.select, power_margin.score, "margin"),
        Strategy(
            "margin_diverse", margin_diverse.select, margin_diverse.score, "margin", needs_embeddings=True
        ),
        Strategy("typiclust", typiclust.select, needs_embeddings=True),
    )
}


def strategy(name: str) -> Strategy:
    """Return a strategy by its name.

    Raises:
        NotConfigured: there is none of that name.
    """
    if name not in STRATEGIES:
        raise NotConfigured(f"there is no strategy {name!r}: choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def priority(uncertainty: Uncertainty, strategy_name: str) -> float:
    """Return what the strategy's `score` gives for the probabilities behind these stored scores.

    Strategies without a score (random, typiclust) give 0: their candidates are a uniform draw of the pool.

    Raises:
        NotConfigured: there is no strategy of that name.
    """
    order = strategy(strategy_name).order
    return float(getattr(uncertainty, order)) if order else 0.0
