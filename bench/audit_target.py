"""Simulate how the audit share falls, and whether the accuracy's interval still covers the true accuracy.

    python -m bench.audit_target [--repeats 4000] [--target 0.05] [--json FILE]

Batches hold 50 images and the whole audit share 10, as by the template's defaults. After each batch, a model
is measured on the audit labels of all batches, and the next share is planned from that interval, by the
functions that `rank` uses. A model of accuracy p is right on an image whose difficulty, uniform in [0, 1],
is below p. So later models are right on the same images as earlier ones, and some more, and the number of
labels depends on the answers as it does in service.

The script fails if an interval covers the true accuracy in less than 93 % or more than 97.9 % of the repeats.
Intervals near accuracy 1 cover too often with few labels, whatever the share is: they have no upper limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.audit_share import Measured, planned
from octospoon.domain.evaluation.estimators import proportion

if TYPE_CHECKING:
    import numpy.typing as npt

BATCHES, WHOLE = 60, 10
SHOWN = (5, 10, 20, 40, 60)
LOWEST, HIGHEST = 0.93, 0.979
PATHS = {
    "always 70 %": np.full(BATCHES, 0.7),
    "always 80 %": np.full(BATCHES, 0.8),
    "always 90 %": np.full(BATCHES, 0.9),
    "always 95 %": np.full(BATCHES, 0.95),
    "rises from 60 to 95 %": 0.95 - 0.35 * np.exp(-np.arange(BATCHES) / 8),
    "falls from 95 to 80 % at batch 30": np.where(np.arange(BATCHES) < 30, 0.95, 0.8),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=4000)
    parser.add_argument("--target", type=float, default=0.05)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    results = {name: compared(path, chosen.repeats, chosen.target) for name, path in PATHS.items()}
    for name, result in results.items():
        show(name, result)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")
    bad = [
        f"{name}, {share}, batch {batch}: {cover:.1%}"
        for name, result in results.items()
        for share, figures in result.items()
        for batch, cover, accuracy in zip(
            SHOWN, figures["coverage"], PATHS[name][np.array(SHOWN) - 1], strict=True
        )
        if cover < LOWEST or (cover > HIGHEST and accuracy <= 0.9)
    ]
    print("\n".join(f"NOT COVERED AS IT SHOULD: {each}" for each in bad))
    return bool(bad)


def compared(path: npt.NDArray[np.float64], repeats: int, target: float) -> dict[str, dict[str, list[float]]]:
    """Return the figures after the batches SHOWN, with a share that falls and with one that does not."""
    return {name: simulated(path, repeats, wanted) for name, wanted in (("falls", target), ("is fixed", 0.0))}


def simulated(path: npt.NDArray[np.float64], repeats: int, target: float) -> dict[str, list[float]]:
    """Run loops; return the means over them after the batches SHOWN.

    Args:
        path: float64 [BATCHES], the accuracy of the model after each batch.
        repeats: number of loops.
        target: half-width of the interval that is asked for; 0 for a fixed share.
    """
    figures = np.empty((repeats, BATCHES, 4))
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        difficulty, share = np.empty(0), WHOLE
        for batch, accuracy in enumerate(path.tolist()):
            difficulty = np.concatenate([difficulty, rng.random(share)])
            estimate = proportion(int((difficulty < accuracy).sum()), len(difficulty))
            half = (estimate.high - estimate.low) / 2
            figures[repeat, batch] = (estimate.low <= accuracy <= estimate.high, len(difficulty), half, share)
            if target:
                share = planned(WHOLE, target, [Measured(half, len(difficulty))], len(difficulty)).images
    means = figures.mean(axis=0)[np.array(SHOWN) - 1]
    return {
        name: means[:, i].tolist() for i, name in enumerate(("coverage", "labels", "half_width", "share"))
    }


def show(name: str, result: dict[str, dict[str, list[float]]]) -> None:
    print(f"accuracy {name}; after {', '.join(map(str, SHOWN))} batches")
    for share, figures in result.items():
        shown = {
            "coverage": [f"{cover:.1%}" for cover in figures["coverage"]],
            "audit labels": [f"{labels:.0f}" for labels in figures["labels"]],
            "± points": [f"{100 * half:.1f}" for half in figures["half_width"]],
        }
        print(
            f"  the share {share:8}",
            *(f"{what} {' '.join(cells)}" for what, cells in shown.items()),
            sep="   ",
        )


if __name__ == "__main__":
    sys.exit(main())
