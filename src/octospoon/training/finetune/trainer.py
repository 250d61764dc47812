"""Fine-tuning behind the trainer's port: backbone and head learn from the labelled pictures.

The graph, its preprocessing, inputs and outputs stay as they are; only its weights change, and with them its
sha256. Where the held-out labels do not show that this helps, the backbone stays the one in service, so that
no stored embedding is given up for nothing.
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
from octospoon.domain.evaluation import metrics
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.domain.training.jobs import TrainedModel
from octospoon.training.data.dataset import as_stored
from octospoon.training.finetune import pictures
from octospoon.training.finetune.options import FineTuning
from octospoon.training.head.fit import fit_head, fold_of
from octospoon.training.head.trainer import train_head
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.ports.images import ImageStore
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.finetune.graph import TorchGraph
    from octospoon.training.finetune.loop import Course

PARITY = 1e-4
"""How far PyTorch and onnxruntime may lie apart, as a share of the largest number in the embeddings."""
LEAST_LABELS = 25
_COMPARED = 32
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FineTuner:
    """Implements `octospoon.training.head.trainer.Trainer`.

    Attributes:
        images: where the pictures are.
        options: how the backbone is trained.
        balanced: weigh classes by the inverse of their frequency.
    """

    images: ImageStore
    options: FineTuning = field(default_factory=FineTuning)
    balanced: bool = False

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        """Train on every picture that can be read; a fifth of them says when to stop. See `Trainer`.

        The same labels, pictures and options give the same bytes on the same machine.

        Raises:
            NotConfigured: PyTorch is not installed.
            BadRequest: there is nothing to train on, or the graph cannot be trained.
            BadModel: PyTorch and onnxruntime disagree about the new weights.
        """
        check_installed()
        with tempfile.TemporaryDirectory() as folder:
            pixels, readable = pictures.read(dataset.images, self.images, spec, Path(folder))
            held_out = readable & (fold_of(dataset.labels, self.options.seed) == 0)
            return self._trained(backbone, dataset, spec, _Material(pixels, readable, held_out))

    def _trained(
        self, backbone: bytes, dataset: Dataset, spec: ModelSpec, material: _Material
    ) -> TrainedModel:
        if why := material.too_little(dataset.labels):
            return self._frozen(backbone, dataset, spec, why, ())
        from octospoon.training.finetune import loop
        from octospoon.training.finetune.graph import TorchGraph

        with loop.reproducible():
            graph = TorchGraph(backbone)
            learning = {"weights": f"{graph.total}", "weights_that_learn": f"{graph.learning}"}
            _log.info("%d of the backbone's %d weights learn", graph.learning, graph.total)
            _compare(graph, backbone, material)
            course = self._course(graph, dataset, len(spec.classes), material)
            tuned = graph.written() if course.best else backbone
            gap = _compare(graph, tuned, material) if course.best else 0.0
        if not course.best:
            why = "the held-out labels show no gain"
            made = self._frozen(backbone, dataset, spec, why, course.epochs)
            return replace(made, params=made.params | learning)
        made = self._assembled(tuned, dataset, spec, material)
        metrics = {"fine_tuned": 1.0, "torch_parity_gap": gap, "best_epoch": float(course.best)}
        params = made.params | learning
        return replace(made, metrics=made.metrics | metrics, params=params, epochs=course.epochs)

    def _course(self, graph: TorchGraph, dataset: Dataset, classes: int, material: _Material) -> Course:
        from octospoon.training.finetune import loop

        learned = material.readable & ~material.held_out
        start = fit_head(
            dataset.embeddings[learned], dataset.labels[learned], classes, balanced=self.balanced
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
        """Fit the head on the new embeddings; what was held out of the backbone's training calibrates it."""
        rows = np.flatnonzero(material.readable)
        embeddings = as_stored(embed(backbone, material.pixels, rows))
        unseen, labels = material.held_out[rows], dataset.labels[rows]
        fitted = fit_head(embeddings, labels, len(spec.classes), balanced=self.balanced, unseen=unseen)
        named = replace(spec, backbone=model_file.sha256(backbone))
        file = model_file.head_file(fitted.weights, fitted.bias, named)
        held_out = np.full((len(dataset), len(spec.classes)), np.nan)
        held_out[rows] = fitted.out_of_fold
        guesses, truth = held_out[material.held_out], dataset.labels[material.held_out]
        return TrainedModel(
            model=model_file.assemble(backbone, file, named),
            head=file,
            held_out=held_out,
            metrics={
                "held_out_accuracy": metrics.accuracy(guesses, truth),
                "held_out_log_loss": metrics.log_loss(guesses, truth),
            },
            params=self._params()
            | {
                "inverse_regularisation": f"{fitted.inverse_regularisation:g}",
                "temperature": f"{fitted.temperature:.4f}",
            },
        )

    def _frozen(
        self,
        backbone: bytes,
        dataset: Dataset,
        spec: ModelSpec,
        why: str,
        epochs: tuple[dict[str, float], ...],
    ) -> TrainedModel:
        """Fit the head alone: the backbone stays, and every stored embedding with it."""
        _log.info("the backbone is not fine-tuned: %s", why)
        made = train_head(backbone, dataset, spec, balanced=self.balanced)
        params = made.params | self._params() | {"backbone_kept": why}
        return replace(made, metrics=made.metrics | {"fine_tuned": 0.0}, params=params, epochs=epochs)

    def _params(self) -> dict[str, str]:
        weights = {"class_weights": "balanced" if self.balanced else "none"}
        return {"trainer": "fine-tuning"} | weights | self.options.params()


@dataclass(frozen=True, slots=True)
class _Material:
    """Pixels uint8 [N, H, W, 3]; bool [N] each: which could be read, which of these are held out."""

    pixels: npt.NDArray[np.uint8]
    readable: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]

    def too_little(self, labels: npt.NDArray[np.int64]) -> str:
        """Return why there is too little to train a backbone on; empty where there is enough."""
        learned = labels[self.readable & ~self.held_out]
        if self.readable.sum() < LEAST_LABELS or self.held_out.sum() < 2:
            return f"{self.readable.sum()} labelled pictures, {LEAST_LABELS} are needed"
        return "" if len(np.unique(learned)) > 1 else "all labels are of one class"

    def sample(self) -> npt.NDArray[np.int64]:
        """Return the rows of some of the pictures that could be read."""
        return np.flatnonzero(self.readable)[:_COMPARED]


def check_installed() -> None:
    """Raise NotConfigured, which says what to install, where there is no PyTorch."""
    if importlib.util.find_spec("torch") is None:
        raise NotConfigured(
            "Trainer=finetune needs PyTorch, which is not installed here: install octospoon[finetune], or "
            "build the training image with --build-arg REQUIREMENTS=finetune; Trainer=head needs none"
        )


def embed(
    backbone: bytes, pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], batch: int = 32
) -> npt.NDArray[np.float32]:
    """Return embeddings float32 [M, D], by onnxruntime, of M rows of uint8 [N, H, W, 3], so many at once."""
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
    """Return how far PyTorch lies from onnxruntime, as a share; see PARITY."""
    try:
        ours = graph.embed(material.pixels, material.sample())
    except (RuntimeError, TypeError, ValueError) as error:  # what PyTorch raises of shapes and types
        raise BadRequest(
            f"PyTorch cannot compute the backbone's graph ({error}): use Trainer=head"
        ) from error
    served = embed(backbone, material.pixels, material.sample())
    gap = float(np.abs(ours - served).max() / max(float(np.abs(served).max()), 1e-12))
    if not gap <= PARITY:
        raise BadModel(
            f"PyTorch and onnxruntime compute embeddings that differ by {gap:.1e} of their size, more than "
            f"{PARITY:.0e}: use Trainer=head"
        )
    return gap


def _class_weights(labels: npt.NDArray[np.int64], classes: int, *, balanced: bool) -> npt.NDArray[np.float32]:
    """Return float32 [C]: ones, or the inverse of each class's frequency, one on average over the labels."""
    if not balanced:
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)
