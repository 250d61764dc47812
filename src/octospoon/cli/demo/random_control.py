"""The control of the demo: the same head on the same embeddings, but random labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.cli.datasets.labelled import Embedder
from octospoon.cli.demo.tasks import task_named
from octospoon.domain.batch.compose import CONTROL
from octospoon.training.simulation import replay

if TYPE_CHECKING:
    from octospoon.training.simulation import Plan


def random_control(task: str, model: bytes, plan: Plan, draws: int) -> dict[int, float]:
    """Return the mean metric on the held-out third, by number of labels.

    Args:
        task: name of the task type.
        model: the content of an ONNX file that embeds.
        plan: rounds and batches.
        draws: number of repetitions; their seeds are 0, 1, 2 and so on.
    """
    data, split = task_named(task).labelled(Embedder("the demo's model", model))
    curves = [[score.accuracy for score in replay(data, split, plan, CONTROL, draw)] for draw in range(draws)]
    return dict(zip(plan.labels, np.mean(curves, axis=0).tolist(), strict=True))
