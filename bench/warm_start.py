"""Compare a start from imported labels with a cold start: accuracy after the first batch, over ten seeds.

    python -m bench.warm_start [FOLDER]

The images are scikit-learn's digits, or a folder with a folder for each class. A third is held out. Imported
labels are a uniform sample of the rest. Each start then labels one batch by the default strategy.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from octospoon.cli.datasets import labelled
from octospoon.domain.batch.compose import BatchRules
from octospoon.training.simulation import Plan, fit, rounds, score

SEEDS, BATCH, AUDIT = 10, 50, 0.2
IMPORTED = (0, 20, 50, 100, 200)
STRATEGY = "margin_diverse"
_T = 2.262
"""Student's t for 95 % and nine degrees of freedom."""


def accuracies(source: labelled.Source, imported: int) -> tuple[list[float], list[float]]:
    """Return the held-out accuracy of each seed, before and after the first batch; 0 before a cold start."""
    before, after = [], []
    for seed in range(SEEDS):
        split = source.split(seed)
        start = np.sort(np.random.default_rng(seed).permutation(split.pool)[:imported])
        before.append(score(source.data, split, fit(source.data, start)).accuracy if imported else 0.0)
        plan = Plan.even(1, BatchRules(BATCH, AUDIT))
        ((_, fitted),) = rounds(source.data, split.pool, plan, STRATEGY, seed, start)
        after.append(score(source.data, split, fitted).accuracy)
    return before, after


def shown(values: list[float]) -> str:
    """Return a mean with its 95 % interval over the seeds."""
    half = _T * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return f"{np.mean(values):6.1%} ± {half:.1%}"


def main() -> int:
    source = labelled.of_folder(Path(sys.argv[1])) if len(sys.argv) > 1 else labelled.of_digits()
    print(f"{source.title}: a batch of {BATCH}, of which {AUDIT:.0%} are the audit share; {SEEDS} seeds")
    print(f"{'imported':>9}  {'before the batch':>16}  {'after it':>16}  {'gain over a cold start':>22}")
    cold: list[float] = []
    for imported in IMPORTED:
        before, after = accuracies(source, imported)
        cold = cold or after
        gain = [warm - start for warm, start in zip(after, cold, strict=True)]
        print(f"{imported:>9}  {shown(before):>16}  {shown(after):>16}  {shown(gain):>22}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
