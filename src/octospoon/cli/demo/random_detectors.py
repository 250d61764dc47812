"""The random control of the demo with boxes: the same trainer on images that are drawn at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.demo.held_out import held_out_metric
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import ImageBytes
from octospoon.training.data.dataset import Dataset
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import DetectorTrainer
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.cli.demo.task import DemoTask
    from octospoon.training.simulation import Plan

_STRATEGY = "random"


class Pool:
    """Implements `octospoon.ports.images.ImageStore` over the images of a demo.

    Args:
        task: whose images these are.
    """

    def __init__(self, task: DemoTask) -> None:
        self._task = task

    def read(self, key: str) -> ImageBytes:
        """Return an image; its key stands for its identity."""
        return ImageBytes(self._task.file(key), key)

    def uri(self, key: str) -> str:
        """Return the key."""
        return key


def metrics(task: DemoTask, model: bytes, plan: Plan) -> Iterator[float]:
    """Yield the metric on the held-out images; see `DemoTask.random_metrics`.

    As in the loop, the audit share counts as labels, and no detector is trained on it.
    """
    options = DetectorOptions.read(task.parameters.get("FineTuning", ""))
    train = DetectorTrainer(Pool(task), options, threads=1)
    backbone, spec = model_file.extract_backbone(model), model_file.read_spec(model)
    spec = replace(spec, classes=task.classes, version=1)
    for seed in range(task.draws):
        order = [task.pool[at] for at in np.random.default_rng(seed).permutation(len(task.pool)).tolist()]
        for labels in plan.labels:
            audit = labels // plan.rules.size * plan.rules.audit
            trained = train(backbone, dataset(task, order[:labels], audit, spec.dim), spec)
            yield _measured(trained.model, task)


def dataset(task: DemoTask, keys: Sequence[str], audit: int, dim: int) -> Dataset:
    """Return images as a data set; a detector reads the images themselves, so the embeddings are zero.

    Args:
        task: whose images these are.
        keys: N images in random order.
        audit: how many of them are the audit share.
        dim: length of an embedding.
    """
    drawn = sorted((key, at < audit) for at, key in enumerate(keys))
    images = tuple(
        LabelledImage(key, key, task.label(key), 1.0, 1, is_audit, _STRATEGY, None, 1)
        for key, is_audit in drawn
    )
    targets = task.task_type.evaluator.targets([image.label for image in images], task.classes)
    return Dataset(images, np.zeros((len(images), dim), np.float32), targets, {})


def _measured(model: bytes, task: DemoTask) -> float:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        scorer = OnnxScorer(path)
    return held_out_metric(scorer, task)
