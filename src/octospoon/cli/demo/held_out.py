"""How good a model is on the held-out third of a demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.cli.demo.failed import DemoFailed
from octospoon.domain.pool.boxes import together

if TYPE_CHECKING:
    from octospoon.adapters.onnx.scorer import OnnxScorer
    from octospoon.cli.demo.task import DemoTask

_BATCH = 32
"""Images at a time, which limits memory."""


def held_out_metric(scorer: OnnxScorer, task: DemoTask) -> float:
    """Return the metric of a model on the held-out images.

    Raises:
        DemoFailed: the model predicts nothing.
    """
    predicted = []
    for start in range(0, len(task.held_out), _BATCH):
        framed = [scorer.preprocess(file) for file in task.held_out[start : start + _BATCH]]
        pixels = np.stack([image.pixels for image in framed])
        for prediction in scorer.predict(pixels, [image.region for image in framed]):
            if prediction.probabilities is None:
                raise DemoFailed(
                    f"version {scorer.spec.version} predicts nothing: the gate refused the trained models"
                )
            predicted.append(prediction.probabilities)
    evaluator = task.task_type.evaluator
    targets = evaluator.targets(task.held_out_labels, scorer.spec.classes)
    return evaluator.metric(together(predicted), targets)
