"""The demo's control: the same head on the same embeddings, with labels drawn at random."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx_scorer import OnnxScorer
from octospoon.cli import digits
from octospoon.training.head import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def random_control(model: bytes, sizes: Sequence[int], draws: int) -> dict[int, float]:
    """Return the mean accuracy on the held-out third by number of labels; draw d has seed d.

    Every label of the control is trained on: it needs no audit share.
    """
    embeddings = _embed(model)
    split, truth = digits.split(), digits.labels()
    accuracy: dict[int, list[float]] = {size: [] for size in sizes}
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(split.pool)
        for size in sizes:
            chosen = order[:size]
            head = fit(embeddings[chosen], truth[chosen], len(digits.CLASSES))
            right = head.logits(embeddings[split.held_out]).argmax(axis=1) == truth[split.held_out]
            accuracy[size].append(float(right.mean()))
    return {size: float(np.mean(values)) for size, values in accuracy.items()}


def _embed(model: bytes) -> npt.NDArray[np.float32]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        scorer = OnnxScorer(path)
    pixels = [scorer.preprocess(digits.png_bytes(index)) for index in range(len(digits.labels()))]
    # stored embeddings are float16: the control gets no better ones
    return scorer.run(np.stack(pixels))[0].astype(np.float16).astype(np.float32)
