"""Train a head on a backbone that a person requested, as a `Trainer`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.training.data.dataset import gather
from octospoon.training.head.task_types import activation_of
from octospoon.training.head.trainer import train_head
from octospoon.training.model.model_file import extract_backbone

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.training.backbone_change import Candidate
    from octospoon.domain.training.jobs import TrainedModel
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Champions
    from octospoon.training.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class RequestedBackbone:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: the store of the labelled images.
        champions: the store of the candidate's model file.
        candidate: the new backbone.
        task_type: the kind of label.
        balanced: True to weight classes by the inverse of their frequency.
    """

    images: ImageStore
    champions: Champions
    candidate: Candidate
    task_type: TaskType
    balanced: bool = False

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Read the labelled images with the new backbone and fit a head on it. See `Trainer`.

        If the new backbone is in service already, its stored embeddings are used.

        Raises:
            NotConfigured: a head cannot learn the labels.
            BadModel: the candidate's model file is missing or damaged.
            BadRequest: there is no label to train on.
        """
        activation_of(self.task_type)
        if spec.backbone == self.candidate.backbone:
            return self._named(train_head(backbone, dataset, spec, balanced=self.balanced))
        with tempfile.TemporaryDirectory() as folder:
            file = self.champions.fetch(self.candidate.pointer(), Path(folder))
            scorer, model = OnnxScorer(file), file.read_bytes()
            readable = gather(dataset.images, spec.classes, self.task_type, {}, self.images, scorer)
        keys = {image.key for image in readable.images}
        rows = [i for i, image in enumerate(dataset.images) if image.key in keys]
        readable = replace(readable, dealt=dataset.fold_numbers()[rows])
        own = replace(scorer.spec, classes=spec.classes, version=spec.version, activation=spec.activation)
        trained = train_head(extract_backbone(model), readable, own, balanced=self.balanced)
        held_out = np.full((len(dataset), len(spec.classes)), np.nan)
        held_out[rows] = trained.held_out
        return self._named(replace(trained, held_out=held_out))

    def _named(self, trained: TrainedModel) -> TrainedModel:
        return replace(trained, params=trained.params | {"requested_backbone": self.candidate.name})
