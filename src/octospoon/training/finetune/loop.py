"""Train a backbone and a linear head by gradient descent, starting from a head on the frozen backbone.

- The head is fitted first, because the gradients of a random head would distort the features (Kumar et al.
  2022, arXiv 2202.10054).
- The optimiser is AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
- Learning rates are relative to the size of each tensor (Shazeer and Stern 2018, arXiv 1804.04235, section
  8), because the scale of an imported graph's weights is unknown.
- The learning rate warms up for one epoch and then follows a cosine.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import log_softmax
from torch.nn import functional

from octospoon.training.finetune.augmentation import augmented
from octospoon.training.head.calibration import temperature

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from octospoon.training.finetune.graph import TorchGraph
    from octospoon.training.finetune.options import FineTuning
    from octospoon.training.head.fit import Head

_LEAST_SIZE = 1e-3
"""Lower bound of a tensor's size for its learning rate, so that biases of zero can learn."""
_ERRORS = 1.0
"""Standard errors by which the loss must fall to justify a new backbone; the gate uses the same number."""
_TINY = 1e-6
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lesson:
    """Training data, and held-out data for early stopping.

    Attributes:
        pixels: uint8 [N, H, W, 3]; each step reads only its own images into memory.
        labels: int64 [N], each in [0, C).
        learned: int64 [L], the rows for training.
        held_out: int64 [M], other rows for early stopping, M >= 2.
        class_weights: float32 [C].
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    learned: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    class_weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Course:
    """The result of training.

    Attributes:
        epochs: metrics after each epoch; the first entry is the frozen backbone.
        best: the epoch whose weights the graph now has; 0 if no epoch is significantly better.
    """

    epochs: tuple[dict[str, float], ...]
    best: int


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """Held-out results of one epoch after temperature calibration; losses is float64 [M]."""

    losses: npt.NDArray[np.float64]
    accuracy: float

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def surely_better(self, other: _HeldOut) -> bool:
        """Return True if the paired losses are smaller by more than _ERRORS standard errors."""
        gain = other.losses - self.losses
        return bool(gain.mean() > _ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)))


@contextlib.contextmanager
def reproducible(device: torch.device, threads: int = 1) -> Iterator[list[str]]:
    """Use a fixed number of threads and deterministic algorithms, so that equal inputs give equal bits.

    On a GPU this holds for the same model of GPU, and some operators have no deterministic algorithm there.
    Numbers have all bits of float32 there too, because the embeddings must be those of onnxruntime.

    Args:
        device: what computes.
        threads: of the processor; another number may give other bits.

    Yields:
        A list that has the names of the operators without such an algorithm at the end of the block.
    """
    before, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    gpu = device.type == "cuda"
    uncertain: list[str] = []
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=gpu)
    try:
        if not gpu:
            yield uncertain
            return
        # cuBLAS reads it when it is first used, and PyTorch demands it
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with exact, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            yield uncertain
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            name, matched, _ = text.partition(" does not have a deterministic implementation")
            uncertain.extend([name] if matched else [])
            _log.warning("%s", text)
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(mode=strict)


def tune(graph: TorchGraph, lesson: Lesson, start: Head, options: FineTuning) -> Course:
    """Train the weights of a graph and leave it with those of the best epoch, or unchanged.

    Args:
        graph: the backbone.
        lesson: the training data.
        start: the head on the frozen backbone, fitted without the held-out rows.
        options: the settings of fine-tuning.
    """
    tuning = _Tuning(graph, lesson, start, options)
    frozen, best = tuning.evaluate(), None
    before = kept = _copied(graph)
    at, epochs = 0, [_measures(frozen)]
    for epoch in range(1, options.epochs + 1):
        loss = tuning.epoch()
        now = tuning.evaluate()
        epochs.append({"epoch_training_loss": loss} | _measures(now))
        _log.info("epoch %d: %s", epoch, epochs[-1])
        # epochs are compared with each other, as the first ones are often worse than the frozen backbone
        if best is None or now.loss < best.loss:
            best, at, kept = now, epoch, _copied(graph)
        if epoch - at >= options.patience:
            break
    if best is None or not best.surely_better(frozen):
        at, kept = 0, before
    graph.restore(kept)
    return Course(tuple(epochs), at)


class _Tuning:
    """A backbone and a head under training; see `tune`."""

    def __init__(self, graph: TorchGraph, lesson: Lesson, start: Head, options: FineTuning) -> None:
        self._graph, self._lesson, self._options = graph, lesson, options
        # the head sees standardised embeddings: with raw ones a small step can shift all predictions together
        frozen = graph.embed(lesson.pixels, lesson.learned)
        mean, spread = frozen.mean(axis=0), frozen.std(axis=0) + _TINY
        self._mean, self._spread = self._tensor(mean), self._tensor(spread)
        self._weights = self._tensor(start.weights * spread[:, None]).requires_grad_()
        self._bias = self._tensor(start.bias + mean @ start.weights).requires_grad_()
        self._class_weights = self._tensor(lesson.class_weights)
        self._generator = torch.Generator().manual_seed(options.seed)
        learning = [*graph.weights.values(), self._weights, self._bias]
        self._optimiser = torch.optim.AdamW([_group(tensor, options) for tensor in learning])
        steps = -(-len(lesson.learned) // options.batch_size)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: _rate(step, steps, options.epochs * steps)
        )

    def epoch(self) -> float:
        """Train on every training image once; return the mean loss, in nats."""
        order = self._lesson.learned[
            torch.randperm(len(self._lesson.learned), generator=self._generator).numpy()
        ]
        total = 0.0
        for start in range(0, len(order), self._options.batch_size):
            rows = order[start : start + self._options.batch_size]
            images = torch.from_numpy(np.array(self._lesson.pixels[rows]))
            logits = self._logits(self._graph(augmented(images, self._options, self._generator)))
            truth = self._tensor(self._lesson.labels[rows])
            loss = functional.cross_entropy(logits, truth, self._class_weights)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            total += float(loss.detach()) * len(rows)
        return total / len(order)

    def evaluate(self) -> _HeldOut:
        """Evaluate the held-out images without augmentation."""
        rows = self._lesson.held_out
        embeddings = self._tensor(self._graph.embed(self._lesson.pixels, rows))
        logits = self._logits(embeddings).detach().cpu().numpy()
        truth = self._lesson.labels[rows]
        divided = logits.astype(np.float64)
        divided /= temperature(divided, truth, len(rows) + len(self._lesson.learned))[0]
        losses = -log_softmax(divided, axis=1)[np.arange(len(truth)), truth]
        return _HeldOut(losses, float((logits.argmax(axis=1) == truth).mean()))

    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return the logits, float32 [N, C], for embeddings float32 [N, D]."""
        return (embeddings - self._mean) / self._spread @ self._weights + self._bias

    def _tensor(self, values: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(values).to(self._graph.device)


def _group(tensor: torch.Tensor, options: FineTuning) -> dict[str, Any]:
    size = max(_LEAST_SIZE, float(tensor.detach().square().mean().sqrt()))
    decay = options.weight_decay if tensor.ndim > 1 else 0.0
    return {"params": [tensor], "lr": options.learning_rate * size, "weight_decay": decay}


def _rate(step: int, warm_up: int, steps: int) -> float:
    """Return the factor on the learning rate at a step: linear warm-up for one epoch, then a cosine."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _copied(graph: TorchGraph) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in graph.weights.items()}


def _measures(result: _HeldOut) -> dict[str, float]:
    return {"epoch_held_out_loss": result.loss, "epoch_held_out_accuracy": result.accuracy}
