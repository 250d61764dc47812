"""Compare naive and live accuracy estimates with the true accuracy, on real images.

Each model is trained like this: margin_diverse chooses three rounds of 40 labels, and the default trainer
fits a head on them. Then audit samples of N labels are drawn uniformly and repeatedly from the images that
were not used for training. The true accuracy is the accuracy on all of these images. Run:

    python -m bench.evaluation [--repeats 1000] [--labels 100] [--images FOLDER] [--json FILE]

FOLDER has one folder of images for each class and is used in addition to scikit-learn's digits. The default
is ../shared/data/sign-digits/Dataset, if it exists.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from octospoon.cli.datasets import labelled
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.evaluation import estimators
from octospoon.domain.task_types.classification import metrics
from octospoon.domain.task_types.classification.estimates import evaluate
from octospoon.training.simulation import Labelled, Plan, rounds

if TYPE_CHECKING:
    import numpy.typing as npt

BATCH, ROUNDS, AUDITS = 40, 3, 25
SIGNS = Path("../shared/data/sign-digits/Dataset")
NAMES = ("naive: all labels", "naive: held out in training", "audit share alone", "ours")


@dataclass(frozen=True)
class Model:
    """A model's predictions float32 [N, C] on N images outside its training set, and naive accuracies."""

    answers: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    trained_right: npt.NDArray[np.bool_]
    held_out_right: npt.NDArray[np.bool_]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    signs = chosen.images or SIGNS
    folders = {"digits": None} | ({signs.parent.name: signs} if signs.is_dir() else {})
    if len(folders) == 1:
        print(f"SKIPPED: there are no images at {signs}; give a folder with --images")
    results = {name: dataset(name, folder, chosen.repeats, chosen.labels) for name, folder in folders.items()}
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    verdicts = [passes(name, result) for name, result in results.items()]
    return 0 if all(verdicts) else 1


def dataset(name: str, folder: Path | None, repeats: int, labels: int) -> dict[str, dict[str, float]]:
    data = (labelled.of_folder(folder) if folder else labelled.of_digits()).data
    with ProcessPoolExecutor() as processes:
        models = list(processes.map(learn, [data] * (-(-repeats // AUDITS)), range(repeats)))
    errors: dict[str, list[tuple[float, float, float]]] = {estimator: [] for estimator in NAMES}
    truths = []
    for seed, model in enumerate(models):
        truth = metrics.accuracy(model.answers, model.labels)
        rng = np.random.default_rng(seed)
        for _ in range(AUDITS):
            truths.append(truth)
            drawn = rng.choice(len(model.labels), labels, replace=False)
            for estimator, estimate in zip(NAMES, estimates(model, drawn), strict=True):
                inside = estimate.low <= truth <= estimate.high
                errors[estimator].append((estimate.value - truth, inside, estimate.high - estimate.low))
    return show(name, labels, truths, {estimator: np.array(rows) for estimator, rows in errors.items()})


def estimates(model: Model, drawn: npt.NDArray[np.int64]) -> list[estimators.Estimate]:
    answers, labels = model.answers[drawn], model.labels[drawn]
    right = np.concatenate([answers.argmax(axis=1) == labels, model.trained_right])
    ours = evaluate(answers, labels, model.answers.max(axis=1))
    held_out = model.held_out_right
    return [
        estimators.proportion(int(right.sum()), len(right)),
        estimators.proportion(int(held_out.sum()), len(held_out)),
        ours.audit_accuracy,
        ours.accuracy,
    ]


def show(
    name: str, labels: int, truths: list[float], errors: dict[str, npt.NDArray[np.float64]]
) -> dict[str, dict[str, float]]:
    print(f"\n{name}: {len(truths)} repeats, {labels} audit labels, true accuracy {np.mean(truths):.3f}")
    print(f"{'':28} estimate    bias    RMSE  against audit alone  95 % covers  width")
    alone = float(np.sqrt((errors[NAMES[2]][:, 0] ** 2).mean()))
    summary = {}
    for estimator, (error, covered, width) in ((name, measures.T) for name, measures in errors.items()):
        rmse = float(np.sqrt((error**2).mean()))
        summary[estimator] = {
            "estimate": float(np.mean(truths) + error.mean()),
            "bias": float(error.mean()),
            "rmse": rmse,
            "rmse_ratio": rmse / alone,
            "coverage": float(covered.mean()),
            "width": float(width.mean()),
        }
        print(
            f"{estimator:28} {summary[estimator]['estimate']:8.3f} {error.mean():+7.3f} {rmse:7.3f} "
            f"{rmse / alone:20.2f} {covered.mean():12.1%} {width.mean():6.3f}"
        )
    return summary


def passes(name: str, results: dict[str, dict[str, float]]) -> bool:
    """Check that our intervals have their stated coverage and our error is no worse than the audit alone."""
    ours = results["ours"]
    good = 0.93 <= ours["coverage"] <= 0.97 and ours["rmse_ratio"] <= 1.0
    print(
        f"{name}: ours covers 93 to 97 % and no worse than the audit share alone: {'yes' if good else 'NO'}"
    )
    return good


def learn(data: Labelled, seed: int) -> Model:
    """Run three rounds of active learning without an audit share, on all images."""
    every = np.arange(len(data.labels))
    *_, (train, fitted) = rounds(
        data, every, Plan.even(ROUNDS, BatchRules(BATCH, 0.0)), "margin_diverse", seed
    )
    unseen, truth = np.setdiff1d(every, train), data.labels[train]
    right = fitted.logits(data.embeddings[train]).argmax(axis=1) == truth
    answers = softmax(fitted.logits(data.embeddings[unseen]), axis=1).astype(np.float32)
    held_out = np.nan_to_num(fitted.out_of_fold).argmax(axis=1) == truth
    return Model(answers, data.labels[unseen], right, held_out)


if __name__ == "__main__":
    sys.exit(main())
