"""The demo's control: the same head on the same embeddings, with labels drawn at random."""

from __future__ import annotations

import numpy as np

from octospoon.cli.datasets import digits
from octospoon.cli.datasets.labelled import of_digits
from octospoon.domain.batch.compose import CONTROL
from octospoon.training.simulation import Plan, Split, replay


def random_control(model: bytes, plan: Plan, draws: int) -> dict[int, float]:
    """Return the mean accuracy on the held-out third by number of labels; draw d has seed d."""
    data = of_digits(model).data
    third = digits.split()
    split = Split(third.pool, third.held_out)
    curves = [[score.accuracy for score in replay(data, split, plan, CONTROL, draw)] for draw in range(draws)]
    return dict(zip(plan.labels, np.mean(curves, axis=0).tolist(), strict=True))
