"""Define the trainer interface, and the default trainer: a head on a frozen backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.head.fit import fit_head
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.training.data.dataset import Dataset


class Trainer(Protocol):
    """A function that makes a model; `octospoon.training.finetune.trainer.FineTuner` is another."""

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train on every row of the dataset.

        Args:
            backbone: the ONNX file that made the dataset's embeddings.
            dataset: the labelled images, without the audit share.
            spec: metadata of the new file. A trainer that changes the backbone replaces its sha256.

        Raises:
            BadRequest: there is no label to train on.
        """


def train_head(backbone: bytes, dataset: Dataset, spec: ModelSpec, *, balanced: bool = False) -> TrainedModel:
    """Fit a calibrated logistic head on the frozen backbone; see `Trainer`.

    Args:
        backbone: see `Trainer`.
        dataset: see `Trainer`.
        spec: see `Trainer`.
        balanced: weight classes by the inverse of their frequency. It improves the recall of rare classes and
            reduces the precision of the others.
    """
    fitted = fit_head(dataset.embeddings, dataset.labels, len(spec.classes), balanced=balanced)
    file = model_file.head_file(fitted.weights, fitted.bias, spec)
    known = np.isfinite(fitted.out_of_fold).all(axis=1)
    probabilities, truth = fitted.out_of_fold[known], dataset.labels[known]
    return TrainedModel(
        model=model_file.assemble(backbone, file, spec),
        head=file,
        held_out=fitted.out_of_fold,
        metrics={
            "cross_validated_accuracy": metrics.accuracy(probabilities, truth),
            "cross_validated_log_loss": metrics.log_loss(probabilities, truth),
        },
        params={
            "trainer": "logistic head",
            "class_weights": "balanced" if balanced else "none",
            "inverse_regularisation": f"{fitted.inverse_regularisation:g}",
            "temperature": f"{fitted.temperature:.4f}",
        },
    )
