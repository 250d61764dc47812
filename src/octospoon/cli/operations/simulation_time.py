"""How long a simulation with boxes takes, estimated from a short training on a few images."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from octospoon.cli.datasets.labelled import pool_size
from octospoon.training.detector import features
from octospoon.training.detector.maps import opset_of
from octospoon.training.detector.options import CHECKS
from octospoon.training.detector.replay import predictions
from octospoon.training.detector.trainer import RULES, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.cli.operations.simulation_boxes import BoxSimulation
    from octospoon.domain.pool.framing import Region
    from octospoon.training.detector.features import Features

_TRIED = 16
"""Images on which the time is estimated."""


def estimated(
    backbone: bytes,
    pixels: npt.NDArray[np.uint8],
    regions: Sequence[Region],
    truth: npt.NDArray[np.float64],
    simulation: BoxSimulation,
) -> float:
    """Return the seconds that a simulation will take.

    Args:
        backbone: the ONNX file.
        pixels: uint8 [N, H, W, 3].
        regions: what they show.
        truth: float64 [N, M, 5]; see `BoxImages`.
        simulation: what to simulate.
    """
    rows = np.argsort(-(truth[..., 4] >= 0).sum(axis=1), kind="stable")[:_TRIED]
    targets = [shown(truth[row], regions[row]) for row in rows.tolist()]
    with TemporaryDirectory(prefix="octospoon-") as scratch:
        began = time.monotonic()
        maps = features.compute(backbone, np.array(pixels[rows]), targets, simulation.options, Path(scratch))
        computed = (time.monotonic() - began) / len(rows)
        step, predicted = _measured(maps, int(truth[..., 4].max()) + 1, simulation, opset_of(backbone))
    waves = -(-simulation.seeds // min(simulation.workers, simulation.seeds))
    images = simulation.predicted(pool := pool_size(len(truth)), len(truth) - pool)
    return computed * len(truth) + waves * (simulation.steps * step + images * predicted)


def announced(seconds: float, images: int, simulation: BoxSimulation) -> str:
    """Return what is about to happen, and about how long it takes."""
    detectors = simulation.seeds * simulation.rounds.detectors(len(simulation.strategies))
    minutes = max(1, round(seconds / 60))
    return (
        f"{detectors} detectors are trained on feature maps of {images:,} images, in {simulation.workers} "
        f"processes: about {minutes} minute{'s' * (minutes > 1)}. Ctrl-C ends it. With fewer --seeds or "
        "--labels it takes less"
    )


def _measured(maps: Features, classes: int, simulation: BoxSimulation, opset: int) -> tuple[float, float]:
    """Return the seconds of a training step, and those of predicting one image, on one core."""
    import torch

    from octospoon.training.detector.export import head_file
    from octospoon.training.detector.loop import train
    from octospoon.training.finetune.loop import reproducible

    rows = np.arange(len(maps.targets[0]))
    learned, held_out = np.split(rows, [-1])
    short = msgspec.structs.replace(simulation.options, epochs=1, least_steps=CHECKS, patience=CHECKS)
    processor = torch.device("cpu")
    with reproducible(processor):  # in one thread, as the processes of a simulation
        began = time.monotonic()
        course = train(maps, learned, held_out, classes, short, processor)
        step = (time.monotonic() - began) / CHECKS
        head = head_file(course.detector, maps.maps, RULES, opset)
        began = time.monotonic()
        predictions(maps, head, rows)
    return step, (time.monotonic() - began) / len(rows)
