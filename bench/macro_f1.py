"""Measure how often the 95 % interval of macro F1 covers the truth, beside the percentile bootstrap.

Predictions of eleven kinds of models are drawn: classes with these frequencies, recalls and false positives.
Classes are independent. Run:

    make bench-macro-f1
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.evaluation.estimators import bootstrap
from octospoon.domain.task_types.multilabel import intervals, metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    Sample = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

SIZES = (50, 100, 200)
FALLING = 0.6 * 0.75 ** np.arange(10)


class Kind(NamedTuple):
    """A model: frequency of each class, float64 [C], recall, and share of false positives."""

    frequency: npt.NDArray[np.floating]
    recall: npt.NDArray[np.floating] | float
    false: float

    def sample(self, count: int, rng: np.random.Generator) -> Sample:
        present = rng.random((count, len(self.frequency))) < self.frequency
        predicted = rng.random(present.shape) < np.where(present, self.recall, self.false)
        return predicted.astype(np.float64), present.astype(np.int64)

    def truth(self) -> float:
        both = self.frequency * self.recall
        predicted = both + (1 - self.frequency) * self.false
        return float(np.mean(2 * both / (predicted + self.frequency)))


KINDS = {
    "10 classes, good": Kind(FALLING, 0.93, 0.02),
    "10 classes, fair": Kind(FALLING, 0.75, 0.08),
    "10 classes, rare ones missed": Kind(FALLING, np.linspace(0.95, 0.05, 10), 0.01),
    "3 frequent classes": Kind(np.array([0.5, 0.4, 0.3]), 0.9, 0.1),
    "5 classes, 2 rare": Kind(np.array([0.8, 0.3, 0.1, 0.04, 0.02]), 0.85, 0.02),
    "4 classes, nearly perfect": Kind(np.array([0.5, 0.3, 0.2, 0.1]), 0.99, 0.003),
    "30 rare classes": Kind(np.full(30, 0.06), 0.8, 0.01),
    "30 rare classes, mixed": Kind(np.full(30, 0.06), np.linspace(0.3, 0.98, 30), 0.01),
    "30 rare classes, poor": Kind(np.full(30, 0.06), 0.4, 0.04),
    "30 classes, rarest missed": Kind(np.linspace(0.12, 0.02, 30), np.linspace(0.95, 0.05, 30), 0.01),
    "80 rare classes": Kind(np.full(80, 0.03), 0.8, 0.005),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    results = {}
    for name, kind in KINDS.items():
        true = kind.truth()
        for size in SIZES:
            covered = np.zeros(2)
            for repeat in range(chosen.repeats):
                drawn = kind.sample(size, np.random.default_rng((repeat, size)))
                both = intervals.macro_f1(*drawn), bootstrap(metrics.macro_f1, *drawn)
                covered += [each.low <= true <= each.high for each in both]
            ours, plain = (covered / chosen.repeats).tolist()
            results[f"{name}, {size} labels"] = {"ours": ours, "percentile": plain}
            print(f"{name:30s} {true:.3f} {size:4d} labels: {ours:.1%}, bootstrap {plain:.1%}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
