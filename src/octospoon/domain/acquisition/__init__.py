"""The acquisition strategies: one file each, plain functions over arrays."""

from __future__ import annotations

from octospoon.domain.acquisition import (
    entropy,
    least_confidence,
    margin,
    margin_diverse,
    power_margin,
    random,
    typiclust,
)
from octospoon.domain.acquisition.strategy import Candidates, Strategy, by_score
from octospoon.domain.uncertainty import order_of

__all__ = ["STRATEGIES", "Candidates", "Strategy", "strategy"]


STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("least_confidence", least_confidence.select, least_confidence.score),
        Strategy("margin", margin.select, margin.score),
        Strategy("entropy", by_score(entropy.score), entropy.score),
        Strategy("random", random.select),
        Strategy("power_margin", power_margin.select, power_margin.score),
        Strategy(
            "margin_diverse",
            margin_diverse.select,
            margin_diverse.score,
            needs_embeddings=True,
            seeks_rare=True,
        ),
        Strategy("typiclust", typiclust.select, needs_embeddings=True),
    )
}


def strategy(name: str) -> Strategy:
    """Return a strategy by its name.

    Raises:
        NotConfigured: there is no strategy of that name.
    """
    order_of(name)
    return STRATEGIES[name]
