"""Train backbone and head on the labelled images, as a `Trainer`.

Of the backbone, only the weights change, and with them its sha256. Its graph, inputs and outputs stay.
If the held-out labels show no gain, the backbone in service stays, so that stored embeddings remain valid.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest, NotConfigured
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord, image_numbers
from octospoon.domain.model_spec import EMBEDDING, INPUT, SOFTMAX
from octospoon.domain.task_types.classification import metrics
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.data import pictures
from octospoon.training.data.dataset import as_stored
from octospoon.training.finetune.options import FineTuning
from octospoon.training.graph.parts import widths
from octospoon.training.head.fit import fit_head, fold_of
from octospoon.training.head.trainer import KEPT_OUT, train_head
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.ports.images import ImageStore
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.finetune.graph import TorchGraph
    from octospoon.training.finetune.loop import Course

PARITY = 1e-4
"""Largest difference between PyTorch and onnxruntime, as a share of the largest value in the embeddings."""
LEAST_LABELS = 25
_COMPARED = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FineTuner:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: the store of the labelled images.
        options: the settings of fine-tuning.
        balanced: True to weight classes by the inverse of their frequency.
        device: ``cuda`` demands a GPU, ``cpu`` uses none, and ``auto`` uses one if it is visible.
    """

    images: ImageStore
    options: FineTuning = field(default_factory=FineTuning)
    balanced: bool = False
    device: str = "auto"

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train on the readable images and hold out a fifth of them for early stopping. See `Trainer`.

        Training is too expensive to repeat for each fold, so the audit share is kept out, and the served head
        judges it. If the backbone stays as it is, the head is trained and judged as by `train_head`.

        The same labels, images and options give the same bytes on the same machine. On a GPU they do if the
        run's parameter ``reproducible`` says so.

        Raises:
            NotConfigured: an image may have several classes, PyTorch is not installed, or a GPU is demanded
                and none is visible.
            BadRequest: there are no labelled images, or the graph cannot be trained.
            BadModel: PyTorch and onnxruntime compute different embeddings with the new weights.
        """
        if spec.activation != SOFTMAX:
            raise NotConfigured(
                "Trainer=finetune learns one class per image, and TaskType=multilabel has several: set "
                "Trainer=head"
            )
        check_installed("torch")
        from octospoon.training.finetune import device

        chosen, apart = device.chosen(self.device), dataset.part(audit=False)
        if not len(apart):
            return self._frozen(backbone, dataset, spec, "all labels are of the audit share", ())
        with tempfile.TemporaryDirectory() as folder:
            pixels, readable, _ = pictures.read(apart.images, self.images, spec, Path(folder))
            held_out = readable & (fold_of(apart.labels, self.options.seed) == 0)
            return self._trained(backbone, dataset, spec, _Material(pixels, readable, held_out, chosen))

    def _trained(self, backbone: bytes, whole: Dataset, spec: ModelSpec, material: _Material) -> TrainedModel:
        dataset = whole.part(audit=False)
        if why := material.shortage(dataset.labels):
            return self._frozen(backbone, whole, spec, why, ())
        from octospoon.training.finetune import device, loop
        from octospoon.training.finetune.graph import TorchGraph

        where = device.described(material.device)
        with loop.reproducible(material.device) as uncertain:
            graph = TorchGraph(backbone, material.device)
            learning = {"weights": f"{graph.total}", "weights_that_learn": f"{graph.learning}"}
            _log.info("%d of the backbone's %d weights are trained on %s", graph.learning, graph.total, where)
            _compare(graph, backbone, material)
            course = self._course(graph, backbone, dataset, len(spec.classes), material)
            tuned = graph.written() if course.best else backbone
            gap = _compare(graph, tuned, material) if course.best else 0.0
        learning |= {"device": where, "reproducible": f"no: {', '.join(uncertain)}" if uncertain else "yes"}
        if not course.best:
            why = "the held-out labels show no gain"
            made = self._frozen(backbone, whole, spec, why, course.epochs)
            return replace(made, params=made.params | learning)
        made = self._assembled(tuned, dataset, spec, material)
        metrics = {"fine_tuned": 1.0, "torch_parity_gap": gap, "best_epoch": float(course.best)}
        held_out = np.full((len(whole), len(spec.classes)), np.nan)
        held_out[[not image.audit for image in whole.images]] = made.held_out
        return replace(
            made,
            held_out=held_out,
            metrics=made.metrics | metrics,
            params=made.params | learning,
            epochs=course.epochs,
        )

    def _course(
        self, graph: TorchGraph, backbone: bytes, dataset: Dataset, classes: int, material: _Material
    ) -> Course:
        from octospoon.training.finetune import loop

        learned = material.readable & ~material.held_out
        start = fit_head(
            dataset.embeddings[learned],
            dataset.labels[learned],
            classes,
            parts=widths(backbone),
            balanced=self.balanced,
        )
        lesson = loop.Lesson(
            material.pixels,
            dataset.labels,
            np.flatnonzero(learned),
            np.flatnonzero(material.held_out),
            _class_weights(dataset.labels[learned], classes, balanced=self.balanced),
        )
        return loop.tune(graph, lesson, start, self.options)

    def _assembled(
        self, backbone: bytes, dataset: Dataset, spec: ModelSpec, material: _Material
    ) -> TrainedModel:
        """Fit the head on the new embeddings and calibrate it on the images held out from training."""
        rows = np.flatnonzero(material.readable)
        embeddings = as_stored(embed(backbone, material.pixels, rows))
        unseen, labels = material.held_out[rows], dataset.labels[rows]
        fitted = fit_head(
            embeddings,
            labels,
            len(spec.classes),
            parts=widths(backbone),
            balanced=self.balanced,
            unseen=unseen,
        )
        named = replace(spec, backbone=model_file.sha256(backbone))
        file = model_file.head_file(fitted.weights, fitted.bias, named)
        held_out = np.full((len(dataset), len(spec.classes)), np.nan)
        held_out[rows] = fitted.out_of_fold
        seen = image_numbers((dataset.images[i].key, dataset.images[i].etag) for i in rows.tolist())
        tuned = np.concatenate([dataset.tuned, seen])
        guesses, truth = held_out[material.held_out], dataset.labels[material.held_out]
        return TrainedModel(
            model=model_file.assemble(backbone, file, named),
            head=file,
            held_out=held_out,
            record=TrainingRecord.of(
                seen, np.full(len(rows), EVERY_HEAD, np.int64), {}, fitted.weights.shape, tuned
            ),
            metrics={
                "held_out_accuracy": metrics.accuracy(guesses, truth),
                "held_out_log_loss": metrics.log_loss(guesses, truth),
            },
            params=self._params() | {"audit_labels": KEPT_OUT} | fitted.params(),
        )

    def _frozen(
        self,
        backbone: bytes,
        dataset: Dataset,
        spec: ModelSpec,
        why: str,
        epochs: tuple[dict[str, float], ...],
    ) -> TrainedModel:
        """Fit only the head, so that the backbone and all stored embeddings stay valid."""
        _log.info("the backbone is not fine-tuned: %s", why)
        made = train_head(backbone, dataset, spec, balanced=self.balanced)
        params = made.params | self._params() | {"backbone_kept": why}
        return replace(made, metrics=made.metrics | {"fine_tuned": 0.0}, params=params, epochs=epochs)

    def _params(self) -> dict[str, str]:
        weights = {"class_weights": "balanced" if self.balanced else "none"}
        return {"trainer": "fine-tuning"} | weights | self.options.params()


@dataclass(frozen=True, slots=True)
class _Material:
    """Pixels of the labelled images and their use.

    Attributes:
        pixels: uint8 [N, H, W, 3].
        readable: bool [N], True for images that could be read.
        held_out: bool [N], True for readable images that are held out from training.
        device: what PyTorch computes on.
    """

    pixels: npt.NDArray[np.uint8]
    readable: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]
    device: torch.device

    def shortage(self, labels: npt.NDArray[np.int64]) -> str:
        """Return why the images are too few to train a backbone; empty if they suffice."""
        learned = labels[self.readable & ~self.held_out]
        if self.readable.sum() < LEAST_LABELS or self.held_out.sum() < 2:
            return f"{self.readable.sum()} labelled images can be read, at least {LEAST_LABELS} are needed"
        return "" if len(np.unique(learned)) > 1 else "all labels are of the same class"

    def sample(self) -> npt.NDArray[np.int64]:
        """Return the rows of the first readable images, int64 [M], M <= _COMPARED."""
        return np.flatnonzero(self.readable)[:_COMPARED]


def check_installed(*packages: str) -> None:
    """Raise NotConfigured with installation advice if one of some packages is not installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise NotConfigured(
            f"Trainer=finetune needs PyTorch, and here {' and '.join(missing)} is not installed: install "
            "octospoon[finetune], or build the training image with --build-arg REQUIREMENTS=finetune. "
            "Other trainers work without it"
        )


def embed(
    backbone: bytes, pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], batch: int = 32
) -> npt.NDArray[np.float32]:
    """Return the embeddings of some images, computed by onnxruntime.

    Args:
        backbone: the ONNX file.
        pixels: uint8 [N, H, W, 3].
        rows: int64 [M], which images.
        batch: images at a time, which limits memory.

    Returns:
        float32 [M, D].
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.onnx"
        path.write_bytes(backbone)
        session = open_session(path)
    parts = [
        run_session(session, [EMBEDDING], {INPUT: pixels[rows[start : start + batch]]})[0]
        for start in range(0, len(rows), batch)
    ]
    return np.concatenate(parts)


def _compare(graph: TorchGraph, backbone: bytes, material: _Material) -> float:
    """Return the difference of PyTorch from onnxruntime; raise BadModel if it exceeds PARITY."""
    try:
        ours = graph.embed(material.pixels, material.sample())
    except (RuntimeError, TypeError, ValueError) as error:  # PyTorch raises these for shapes and types
        raise BadRequest(
            f"PyTorch cannot compute the backbone's graph ({error}): use Trainer=head"
        ) from error
    served = embed(backbone, material.pixels, material.sample())
    gap = float(np.abs(ours - served).max() / max(float(np.abs(served).max()), 1e-12))
    if not gap <= PARITY:
        raise BadModel(
            f"the embeddings of PyTorch and onnxruntime differ by {gap:.1e} of their largest value, the "
            f"limit is {PARITY:.0e}: use Trainer=head"
        )
    return gap


def _class_weights(labels: npt.NDArray[np.int64], classes: int, *, balanced: bool) -> npt.NDArray[np.float32]:
    """Return float32 [C]: ones, or inverse class frequencies scaled to a mean of 1 over the labels."""
    if not balanced:
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
