"""Train a head or a detector on a backbone that a person requested, as a `Trainer`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.training.data.dataset import gather
from octospoon.training.head.trainer import train_head
from octospoon.training.model.model_file import extract_backbone

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.training.backbone_change import Candidate
    from octospoon.domain.training.jobs import TrainedModel
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Champions, Scorer
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.head.trainer import Trainer


@dataclass(frozen=True, slots=True)
class RequestedBackbone:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: the store of the labelled images.
        champions: the store of the candidate's model file.
        candidate: the new backbone.
        task_type: the kind of label.
        train: trains a head on the embeddings of a backbone, or a detector on its feature maps.
    """

    images: ImageStore
    champions: Champions
    candidate: Candidate
    task_type: TaskType
    train: Trainer = train_head

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train on the labelled images with the new backbone. See `Trainer`.

        If the new backbone is in service already, its stored embeddings are used.

        Raises:
            NotConfigured: a detector is to be trained, and PyTorch is not installed.
            BadModel: the candidate's model file is missing or damaged.
            BadRequest: there are too few labels, or the backbone has no feature maps for a detector.
        """
        if spec.backbone == self.candidate.backbone:
            return self._named(self.train(backbone, dataset, spec))
        with tempfile.TemporaryDirectory() as folder:
            file = self.champions.fetch(self.candidate.pointer(), Path(folder))
            scorer, model = OnnxScorer(file), file.read_bytes()
        own = replace(scorer.spec, classes=spec.classes, version=spec.version, activation=spec.activation)
        new = extract_backbone(model)
        if self.task_type.activation:
            return self._named(self._head(new, dataset, own, scorer))
        return self._named(self.train(new, dataset, own))  # a detector reads the images itself

    def _head(self, backbone: bytes, dataset: Dataset, spec: ModelSpec, scorer: Scorer) -> TrainedModel:
        """Embed the images again, and train a head."""
        readable = gather(dataset.images, spec.classes, self.task_type, {}, self.images, scorer)
        keys = {image.key for image in readable.images}
        rows = [i for i, image in enumerate(dataset.images) if image.key in keys]
        readable = replace(readable, dealt=dataset.fold_numbers()[rows])
        trained = self.train(backbone, readable, spec)
        held_out = np.full((len(dataset), len(spec.classes)), np.nan)
        held_out[rows] = trained.held_out
        return replace(trained, held_out=held_out)

    def _named(self, trained: TrainedModel) -> TrainedModel:
        return replace(trained, params=trained.params | {"requested_backbone": self.candidate.name})
