"""Gradient descent on a backbone and a linear head, from where the frozen backbone's head left off.

The head is fitted first and the backbone begins from it (Kumar et al. 2022, arXiv 2202.10054: a random head's
first gradients would spoil the features). AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with steps in
proportion to each tensor's own size (Shazeer and Stern 2018, arXiv 1804.04235, section 8), since nothing is
known of how an imported graph's weights are scaled; one epoch of warm-up, then a cosine.
"""

from __future__ import annotations

import contextlib
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import log_softmax
from torch.nn import functional

from octospoon.training.finetune.augmentation import augmented
from octospoon.training.head.fit import Head, temperature

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from octospoon.training.finetune.graph import TorchGraph
    from octospoon.training.finetune.options import FineTuning

_LEAST_SIZE = 1e-3
"""Tensors that are smaller, such as biases of zero, learn as if they were of this size."""
_ERRORS = 1.0
"""As in the gate: what is shown to be better by less is not worth a new backbone."""
_TINY = 1e-6
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is learned from, and what says when to stop.

    Attributes:
        pixels: uint8 [N, H, W, 3]; only so many at once are read into memory as a step needs.
        labels: int64 [N], each in [0, C).
        learned: int64 [L], rows that are learned from.
        held_out: int64 [M], M >= 2 other rows.
        class_weights: float32 [C].
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    learned: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    class_weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Course:
    """What came of it.

    Attributes:
        epochs: measures after each epoch; the first are those of the frozen backbone.
        best: position of the epoch whose weights the graph has now; 0 where none is shown to be better.
    """

    epochs: tuple[dict[str, float], ...]
    best: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """Held-out labels as one epoch answers them, calibrated by one temperature: losses float64 [M]."""

    losses: npt.NDArray[np.float64]
    accuracy: float

    @property
    def loss(self) -> float:
        return float(self.losses.mean())

    def surely_better(self, than: _Seen) -> bool:
        """Say whether the paired losses are smaller by _ERRORS standard errors of their difference."""
        gain = than.losses - self.losses
        return bool(gain.mean() > _ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)))


@contextlib.contextmanager
def reproducible() -> Iterator[None]:
    """One thread and deterministic algorithms: the same pictures and seed give the same bits."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=strict)


def tune(graph: TorchGraph, lesson: Lesson, start: Head, options: FineTuning) -> Course:
    """Train the graph's weights; it is left with those of the best epoch, or as it was.

    Args:
        graph: the backbone.
        lesson: what from.
        start: the head of the frozen backbone, fitted to what is not held out.
        options: how.
    """
    tuning = _Tuning(graph, lesson, start, options)
    frozen, best = tuning.seen(), None
    before = kept = _copied(graph)
    at, epochs = 0, [_measures(frozen)]
    for epoch in range(1, options.epochs + 1):
        loss = tuning.epoch()
        now = tuning.seen()
        epochs.append({"epoch_training_loss": loss} | _measures(now))
        _log.info("epoch %d: %s", epoch, epochs[-1])
        # against one another: the first epochs are often worse than the frozen backbone, and the last better
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
        # the head sees standardised embeddings: in raw ones a small step can move all answers together
        frozen = graph.embed(lesson.pixels, lesson.learned)
        self._mean, self._spread = frozen.mean(axis=0), frozen.std(axis=0) + _TINY
        self._weights = torch.from_numpy(start.weights * self._spread[:, None]).requires_grad_()
        self._bias = torch.from_numpy(start.bias + self._mean @ start.weights).requires_grad_()
        self._class_weights = torch.from_numpy(lesson.class_weights)
        self._drawn = torch.Generator().manual_seed(options.seed)
        learning = [*graph.weights.values(), self._weights, self._bias]
        self._optimiser = torch.optim.AdamW([_group(tensor, options) for tensor in learning])
        steps = -(-len(lesson.learned) // options.batch_size)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: _rate(step, steps, options.epochs * steps)
        )

    def epoch(self) -> float:
        """See every picture that is not held out once; return the mean loss, in nats."""
        order = self._lesson.learned[torch.randperm(len(self._lesson.learned), generator=self._drawn).numpy()]
        total = 0.0
        for start in range(0, len(order), self._options.batch_size):
            rows = order[start : start + self._options.batch_size]
            images = torch.from_numpy(np.array(self._lesson.pixels[rows]))
            logits = self._logits(self._graph(augmented(images, self._options, self._drawn)))
            truth = torch.from_numpy(self._lesson.labels[rows])
            loss = functional.cross_entropy(logits, truth, self._class_weights)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()
            total += float(loss.detach()) * len(rows)
        return total / len(order)

    def seen(self) -> _Seen:
        """Answer the held-out pictures as they are."""
        rows = self._lesson.held_out
        embeddings = torch.from_numpy(self._graph.embed(self._lesson.pixels, rows))
        logits = self._logits(embeddings).detach().numpy()
        truth = self._lesson.labels[rows]
        divided = logits.astype(np.float64)
        divided /= temperature(divided, truth, len(rows) + len(self._lesson.learned))[0]
        losses = -log_softmax(divided, axis=1)[np.arange(len(truth)), truth]
        return _Seen(losses, float((logits.argmax(axis=1) == truth).mean()))

    def _logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, C] for float32 [N, D]."""
        mean, spread = torch.from_numpy(self._mean), torch.from_numpy(self._spread)
        return (embeddings - mean) / spread @ self._weights + self._bias


def _group(tensor: torch.Tensor, options: FineTuning) -> dict[str, Any]:
    size = max(_LEAST_SIZE, float(tensor.detach().square().mean().sqrt()))
    decay = options.weight_decay if tensor.ndim > 1 else 0.0
    return {"params": [tensor], "lr": options.learning_rate * size, "weight_decay": decay}


def _rate(step: int, warm_up: int, steps: int) -> float:
    """Return the share of the learning rate at a step: up over the first epoch, then down a cosine."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def _copied(graph: TorchGraph) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in graph.weights.items()}


def _measures(seen: _Seen) -> dict[str, float]:
    return {"epoch_held_out_loss": seen.loss, "epoch_held_out_accuracy": seen.accuracy}
