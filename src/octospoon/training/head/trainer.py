"""Define the trainer interface, and the default trainer: a head on a frozen backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.graph.parts import widths
from octospoon.training.head.cross_fit import cross_fit
from octospoon.training.head.task_types import HEAD_TASKS
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.training.data.dataset import Dataset


KEPT_OUT = "not trained on, judged by the served head"
"""The parameter ``audit_labels`` of a run whose model was trained on no audit label."""
_RESERVE = 120.0
"""Seconds that a job needs at least after training."""


class Trainer(Protocol):
    """A function that makes a model; `octospoon.training.finetune.trainer.FineTuner` is another."""

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train a model, and record which images it was trained on.

        A trainer may train on an audit image only if the record has a head for the image's fold that has not
        seen the fold. So a trainer that is too expensive to repeat for each fold keeps the audit share out,
        and says so in the run's parameter ``audit_labels``.

        Args:
            backbone: the ONNX file that made the dataset's embeddings.
            dataset: the labelled images, with the folds of the audit share.
            spec: metadata of the new file. A trainer that changes the backbone replaces its sha256.

        Raises:
            BadRequest: there is no label to train on.
        """


def train_head(backbone: bytes, dataset: Dataset, spec: ModelSpec, *, balanced: bool = False) -> TrainedModel:
    """Fit a calibrated linear head on the frozen backbone, on every label; see `Trainer`.

    Args:
        backbone: see `Trainer`.
        dataset: see `Trainer`.
        spec: see `Trainer`.
        balanced: weight classes by the inverse of their frequency. It improves the recall of rare classes and
            reduces the precision of the others.
    """
    made = cross_fit(
        dataset,
        len(spec.classes),
        activation=spec.activation,
        parts=widths(backbone),
        balanced=balanced,
    )
    task = HEAD_TASKS[spec.activation]
    fitted, folds = made.served, len(made.record.heads)
    file = model_file.head_file(fitted.weights, fitted.bias, spec)
    known = np.isfinite(made.held_out).all(axis=1)
    probabilities, truth = made.held_out[known], dataset.labels[known]
    return TrainedModel(
        model=model_file.assemble(backbone, file, spec),
        head=file,
        held_out=made.held_out,
        record=made.record,
        metrics={
            f"cross_validated_{task.evaluator.metric_name}": task.evaluator.metric(probabilities, truth),
            "cross_validated_log_loss": task.log_loss(probabilities, truth),
        },
        params={
            "trainer": "ridge head",
            "audit_labels": f"trained on, judged by {folds} fold heads" if folds else KEPT_OUT,
            "class_weights": "balanced" if balanced else "none",
        }
        | fitted.params(),
    )


def for_training(left: float, evaluation: float) -> float:
    """Return how many seconds training may take, so that the rest of the job has time.

    Args:
        left: seconds until the job must have ended.
        evaluation: seconds that evaluation may take, estimated from the same images.
    """
    return max(left - max(_RESERVE, evaluation), left / 2)
