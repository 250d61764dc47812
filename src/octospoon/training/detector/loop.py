"""Train the pyramid and the heads of a detector on stored feature maps, and stop on held-out labels.

The optimiser is AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101). The learning rate warms up and then
follows a cosine, which reaches zero with the last step or with the time limit, whichever is nearer.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from octospoon.domain.errors import BadModel
from octospoon.training.detector.network import Detector
from octospoon.training.detector.options import CHECKS

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.training.detector.features import Features
    from octospoon.training.detector.options import DetectorOptions

_WARM_UP = 0.08
"""Share of the steps in which the learning rate rises."""
_LONGEST_GRADIENT = 5.0
_TIMED = 10
"""Steps after which the time of all is estimated first; the very first steps are slow."""
_STANDARDISED = 64
"""Images at most from which mean and spread of the maps are computed."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Course:
    """A trained detector and how it came about.

    Attributes:
        detector: with the weights of the best check.
        epochs: metrics of each check.
        best: number of the best check, from 1.
        ended: why training ended, in words.
        timed: whether the time limit had an effect, so that another run may give another result.
    """

    detector: Detector
    epochs: tuple[dict[str, float], ...]
    best: int
    ended: str
    timed: bool


def train(
    features: Features,
    learned: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    classes: int,
    options: DetectorOptions,
    device: torch.device,
) -> Course:
    """Train a detector from random weights.

    Args:
        features: the maps of N images.
        learned: int64 [L], rows of the images to train on, L >= 1.
        held_out: int64 [M], rows of other images, M >= 1; their first view decides when to stop.
        classes: number of classes.
        options: the settings of training.
        device: what computes.

    Raises:
        BadModel: the loss is not a finite number.
    """
    training = _Training(features, learned, classes, options, device)
    epochs: list[dict[str, float]] = []
    best, at, kept = math.inf, 0, training.weights()
    ended = "all steps were made"
    for check in range(1, CHECKS + 1):
        loss = training.until(check / CHECKS)
        held_out_loss = training.loss_of(held_out)
        epochs.append({"epoch_training_loss": loss, "epoch_held_out_loss": held_out_loss})
        _log.info("check %d of %d: %s", check, CHECKS, epochs[-1])
        if held_out_loss < best:
            best, at, kept = held_out_loss, check, training.weights()
        if check - at >= options.patience:
            ended = f"{options.patience} checks brought no lower loss on the held-out labels"
            break
    if training.hurried:
        ended = f"the time limit of {options.minutes:g} minutes"
    training.detector.load_state_dict(kept)
    training.detector.eval()
    return Course(training.detector, tuple(epochs), at, ended, training.hurried)


class _Training:
    """A detector under training; see `train`."""

    def __init__(
        self,
        features: Features,
        learned: npt.NDArray[np.int64],
        classes: int,
        options: DetectorOptions,
        device: torch.device,
    ) -> None:
        self._features, self._learned, self._options, self._device = features, learned, options, device
        self._rng = np.random.default_rng(options.seed)
        with torch.random.fork_rng(devices=[]):  # torchvision draws first weights from the global generator
            torch.manual_seed(options.seed)
            self.detector = Detector(features.maps, classes, features.height, features.width)
        sample = learned[:_STANDARDISED]
        self.detector.standardise(features.batch(np.zeros_like(sample), sample)[0])
        self.detector.place(device)
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [parameter for parameter in self.detector.parameters() if parameter.ndim > 1]},
                {
                    "params": [parameter for parameter in self.detector.parameters() if parameter.ndim == 1],
                    "weight_decay": 0.0,
                },
            ],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
        )
        self._each = -(-len(learned) // options.batch_size)
        self._steps, self._step = max(options.least_steps, options.epochs * self._each), 0
        self._waiting: list[npt.NDArray[np.int64]] = []
        self._began = time.monotonic()
        self.hurried = False

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights."""
        return copy.deepcopy(self.detector.state_dict())

    def until(self, share: float) -> float:
        """Train until a share of all steps is made, at least one; return the mean loss of the steps."""
        losses: list[float] = []
        while not losses or self._step < share * self._steps:
            losses.append(self._one_step())
            if self._step == _TIMED or (self._step > _TIMED and len(losses) == 1):
                self._hurry()
        return self._finite(float(np.mean(losses)))

    def loss_of(self, rows: npt.NDArray[np.int64]) -> float:
        """Return the mean loss of images as they are, in batches of the size of a step."""
        size, total = self._options.batch_size, 0.0
        with torch.no_grad():
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                total += float(self._loss(np.zeros_like(part), part)) * len(part)
        return self._finite(total / len(rows))

    def _one_step(self) -> float:
        """Train on one batch, of which each image shows a random view."""
        if not self._waiting:
            order = self._rng.permutation(self._learned)
            self._waiting = np.array_split(order, self._each)
        rows = self._waiting.pop()
        views = self._rng.integers(self._options.views, size=len(rows))
        loss = self._loss(views, rows)
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.detector.parameters(), _LONGEST_GRADIENT)
        for group in self._optimiser.param_groups:
            group["lr"] = self._options.learning_rate * _rate(self._step / self._steps)
        self._optimiser.step()
        self._step += 1
        return float(loss.detach())

    def _loss(self, views: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> torch.Tensor:
        maps, targets = self._features.batch(views, rows)
        return self.detector.loss([torch.from_numpy(values).to(self._device) for values in maps], targets)

    def _hurry(self) -> None:
        """Make fewer steps if all of them, at the speed so far, would take longer than the time limit.

        So the time changes a result only where the limit is too short.
        """
        seconds = (time.monotonic() - self._began) / self._step
        possible = max(self._step, int(60 * self._options.minutes / seconds))
        if possible < self._steps:
            self._steps, self.hurried = possible, True

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise BadModel(
                f"the loss is {loss} after {self._step} steps: set a smaller learning_rate in FineTuning, "
                f"such as {self._options.learning_rate / 4:g}"
            )
        return loss


def _rate(progress: float) -> float:
    """Return the factor on the learning rate: a linear warm-up, then a cosine to 0 at progress 1."""
    if progress < _WARM_UP:
        return (progress + 0.01) / (_WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP)))
