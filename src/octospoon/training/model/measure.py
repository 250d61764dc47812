"""Measure a model file on images of noise: its time per image, and whether it agrees with its parts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.pool.framing import WHOLE

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.ports.models import HeadScorer, Scorer

_TRIES = 5


def parity_gap(model: Scorer, head: HeadScorer, backbone: Scorer) -> float:
    """Return the largest difference between the complete model and its two parts run one after the other.

    Args:
        model: the complete file, which has a head.
        head: the head alone.
        backbone: a model with the backbone of `model`.

    Returns:
        The largest absolute difference of any number in the embeddings or the probabilities of two images.

    Raises:
        BadModel: the complete model gives no probabilities.
    """
    images = _noise(model, 2)
    gaps = [0.0]
    for whole, part in zip(model.predict(images), backbone.predict(images), strict=True):
        if whole.probabilities is None:
            raise BadModel("the complete model gives no probabilities")
        probabilities = head.run(part.embedding[np.newaxis])[0]
        gaps.append(float(np.abs(whole.embedding - part.embedding).max()))
        gaps.append(float(np.abs(whole.probabilities - probabilities).max()))
    return max(gaps)


def seconds_per_image(model: Scorer) -> float:
    """Return the wall-clock seconds for one image: the shortest of several runs.

    Other work on the machine can only make a run longer, so the shortest is the least disturbed.
    """
    image = _noise(model, 1)
    durations = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        model.predict(image, [WHOLE])
        durations.append(time.perf_counter() - began)
    return min(durations)


def _noise(model: Scorer, n: int) -> npt.NDArray[np.uint8]:
    """Return random pixels uint8 [n, H, W, 3] in the model's input size; the same on each call."""
    shape = (n, model.spec.height, model.spec.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
