"""What `octospoon simulate` was asked for, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.compose import CONTROL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.cli.datasets.labelled import Source
    from octospoon.training.evaluation.curves import Comparison, Curve
    from octospoon.training.evaluation.recommend import Choice, Recommendation
    from octospoon.training.simulation import Plan


@dataclass(frozen=True)
class Simulation:
    """What to simulate.

    Attributes:
        strategies: names; random is always beside them.
        seeds: number of repetitions, each with its own split and draws.
        plans: the labelling rounds. Strategies are compared by the first; the others end at the same number
            of labels, with another batch size.
        workers: processes; the figures do not depend on it.
        folder: where the report goes.
        shown: numbers of labels that the tables show; a quarter, half and all of them if empty.
        target: an accuracy to reach; None if there is none.
    """

    strategies: Sequence[str]
    seeds: int
    plans: Sequence[Plan]
    workers: int
    folder: Path
    shown: Sequence[int] = ()
    target: float | None = None


@dataclass(frozen=True)
class Report:
    """The outcome of a simulation.

    Attributes:
        source: the images, with the chosen backbone.
        simulation: the strategies and the plans.
        curves: by strategy on the chosen backbone, random first.
        comparisons: of each strategy with random.
        verdict: on the strategies, in words.
        backbones: which backbone was chosen.
        controls: curves of random labels, by backbone.
        batches: which batch size was chosen.
        sized: curves of the chosen strategy, by batch size.
        recommendation: what to do.
    """

    source: Source
    simulation: Simulation
    curves: dict[str, Curve]
    comparisons: dict[str, Comparison]
    verdict: str
    backbones: Choice[str]
    controls: dict[str, Curve]
    batches: Choice[int]
    sized: dict[int, Curve]
    recommendation: Recommendation

    @property
    def labels(self) -> list[int]:
        """The numbers of labels that were measured."""
        return [int(n) for n in self.curves[CONTROL].labels]

    @property
    def majority(self) -> float:
        """The metric of equal answers for all held-out images, on average over the seeds.

        For one class per image, it is the share of the most frequent class.
        """
        held_out = [self.source.split(seed).held_out for seed in range(self.simulation.seeds)]
        return float(np.mean([self.source.data.naive(part) for part in held_out]))

    @property
    def metric(self) -> str:
        """The metric of the curves, in words."""
        return self.curves[CONTROL].metric
