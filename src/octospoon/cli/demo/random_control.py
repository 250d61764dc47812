"""The control of the demo: the same head on the same embeddings, but random labels."""

from __future__ import annotations

import numpy as np

from octospoon.cli.datasets import digits
from octospoon.cli.datasets.labelled import Embedder, of_digits
from octospoon.domain.batch.compose import CONTROL
from octospoon.training.simulation import Plan, Split, replay


def random_control(model: bytes, plan: Plan, draws: int) -> dict[int, float]:
    """Return the mean accuracy on the held-out third, by number of labels.

    Args:
        model: the content of an ONNX file that embeds.
        plan: rounds and batches.
        draws: number of repetitions; their seeds are 0, 1, 2 and so on.
    """
    data = of_digits(Embedder("the demo's model", model)).data
    third = digits.split()
    split = Split(third.pool, third.held_out)
    curves = [[score.accuracy for score in replay(data, split, plan, CONTROL, draw)] for draw in range(draws)]
    return dict(zip(plan.labels, np.mean(curves, axis=0).tolist(), strict=True))
