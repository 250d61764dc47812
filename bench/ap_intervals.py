"""Check how often the intervals of a detector's average precision contain the truth.

A population of images has objects, and the detections of a made-up detector. Some objects are missed, doubled
or taken for another class, boxes and scores are noisy, and some images are harder than others. Average
precision of the whole population, measured with faster-coco-eval, is the truth. Each repeat draws images, as
the audit share does. Shown is how often the 95 % intervals contain the truth, beside the percentile interval
of the bootstrap in brackets.

    make bench-ap-intervals JSON=file

The script fails if AP50 or AP50:95 is contained in less than 93 % or more than 97 % of all repeats with the
same number of images.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from octospoon.domain.task_types.detection.average_precision import average_precision, mean_over_classes
from octospoon.domain.task_types.detection.intervals import average_precisions
from octospoon.domain.task_types.detection.matching import match
from octospoon.training.evaluation import coco

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

POPULATION, RESAMPLES = 5_000, 200
DRAWN = (50, 100)
LOWEST, HIGHEST = 0.93, 0.97
SHARES = (1.0, 0.6, 0.25, 0.15, 0.1)
"""How frequent each class is, against the first."""
FIGURES = ("AP50", "AP50:95", "AP50 of the rarest class")


class Detector(NamedTuple):
    """A made-up detector and its images.

    Attributes:
        quality: how well objects are recognised.
        density: mean number of objects of the first class in an image.
        classes: number of classes.
    """

    quality: float
    density: float
    classes: int


DETECTORS = {
    "good": Detector(1.5, 2.0, 3),
    "fair": Detector(1.0, 2.0, 3),
    "poor": Detector(0.35, 2.0, 3),
    "few objects": Detector(1.0, 0.7, 3),
    "five classes": Detector(1.0, 3.0, 5),
}


def population(detector: Detector, count: int, seed: int = 1) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return predictions float32 [N, K, 4 + C] and targets float64 [N, M, 5] of N images."""
    rng = np.random.default_rng(seed)
    images = [_image(detector, rng) for _ in range(count)]
    rows = max(len(found) for _, found in images), max(len(objects) for objects, _ in images)
    predictions = np.zeros((count, rows[0], 4 + detector.classes), np.float32)
    targets = np.zeros((count, rows[1], 5))
    targets[..., 4] = -1
    for truth, given, (objects, found) in zip(targets, predictions, images, strict=True):
        for row, (box, label) in zip(truth, objects, strict=False):
            row[:] = *box, label
        for row, (box, label, score) in zip(given, found, strict=False):
            row[:4], row[4 + label] = box, score
    return predictions, targets


def _image(detector: Detector, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    """Return the objects and the detections of an image: boxes with their classes, and with scores."""
    crowd, hard = rng.gamma(2.0, 0.5), rng.normal(0, 0.7)
    objects, found = [], []
    for label, share in enumerate(SHARES[: detector.classes]):
        for _ in range(rng.poisson(detector.density * share * crowd)):
            box = _box(rng, 0.08)
            objects.append((box, label))
            ease = detector.quality * (1.6 - 0.3 * label) - hard + rng.normal(0, 0.8)
            if ease > -0.5:
                found += _detected(box, label, ease, detector.classes, rng)
    for _ in range(rng.poisson(0.8 * np.exp(0.4 * hard) / detector.quality)):
        found.append((_box(rng, 0.05), int(rng.integers(detector.classes)), max(rng.beta(1.2, 3.0), 1e-3)))
    return objects, found


def _detected(box: Floats, label: int, ease: float, classes: int, rng: np.random.Generator) -> list[Any]:
    """Return the detections of an object: mostly one of the right class, sometimes two."""
    size = np.tile(box[2:] - box[:2], 2)
    seen = _moved(box, 0.1 * np.exp(-0.5 * ease) * size, rng)
    named = label if rng.uniform() < 0.93 else int(rng.integers(classes))
    score = max(1 / (1 + np.exp(-(ease + rng.normal(0, 0.7)))), 1e-3)
    found = [(seen, named, score)]
    if rng.uniform() < 0.07:
        found.append((_moved(seen, 0.05 * size, rng), named, score * rng.uniform(0.2, 0.9)))
    return [each for each in found if (each[0][2:] - each[0][:2]).min() > 1e-3]


def _box(rng: np.random.Generator, least: float) -> Floats:
    size = rng.uniform(least, 0.35, 2)
    corner = rng.uniform(0, 1 - size)
    return np.concatenate([corner, corner + size])


def _moved(box: Floats, by: Floats, rng: np.random.Generator) -> Floats:
    return (box + by * rng.normal(size=4)).clip(0, 1)


def covered(
    predictions: Floats, targets: npt.NDArray[np.float64], truth: Floats, count: int, repeats: int
) -> dict[str, list[float]]:
    """Return the share of repeats whose interval contains the truth, ours and the bootstrap's, by figure.

    Args:
        predictions: of the population.
        targets: of the population.
        truth: float64 [3], the figures of the population.
        count: number of images that each repeat draws.
        repeats: number of repeats.
    """
    hits = np.zeros((repeats, 2, len(FIGURES)), bool)
    widths = np.zeros((repeats, 2, len(FIGURES)))
    for repeat in range(repeats):
        rows = np.random.default_rng(repeat).choice(POPULATION, count, replace=False)
        matches = match(predictions[rows], targets[rows])
        ap50, whole, of_classes, _ = average_precisions(matches)
        ours = np.array([[each.low, each.high] for each in (ap50, whole, of_classes[-1])]).T
        drawn = np.random.default_rng(repeat).multinomial(count, np.full(count, 1 / count), RESAMPLES)
        naive = np.nanquantile(_figures(average_precision(matches, drawn)), [0.025, 0.975], axis=0)
        for at, (low, high) in enumerate((ours, naive)):
            hits[repeat, at] = (low <= truth) & (truth <= high)
            widths[repeat, at] = high - low
    return {
        "truth": truth.tolist(),
        "ours": hits[:, 0].mean(axis=0).tolist(),
        "bootstrap": hits[:, 1].mean(axis=0).tolist(),
        "width": widths[:, 0].mean(axis=0).tolist(),
        "bootstrap_width": widths[:, 1].mean(axis=0).tolist(),
    }


def _figures(precision: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `FIGURES` of average precision float64 [B, C, T], float64 [B, 3]."""
    ap50, whole = precision[..., 0], precision.mean(axis=2)
    return np.column_stack([mean_over_classes(ap50), mean_over_classes(whole), ap50[:, -1]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    print(f"| detector | images | {' | '.join(FIGURES)} | width of AP50 |\n|---|---|---|---|---|---|")
    for name, detector in DETECTORS.items():
        predictions, targets = population(detector, POPULATION)
        truth = _figures(coco.average_precision(predictions, targets)[np.newaxis])[0]
        for count in DRAWN:
            result = covered(predictions, targets, truth, count, arguments.repeats)
            results.setdefault(name, {})[str(count)] = result
            pairs = zip(result["ours"], result["bootstrap"], strict=True)
            cells = " | ".join(f"{100 * ours:.1f} % ({100 * naive:.1f} %)" for ours, naive in pairs)
            wide, narrow = result["width"][0], result["bootstrap_width"][0]
            print(f"| {name} | {count} | {cells} | {wide:.2f} ({narrow:.2f}) |", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    return _verdict(results)


def _verdict(results: dict[str, dict[str, dict[str, list[float]]]]) -> int:
    """Print the coverage over all detectors; return 1 if that of AP50 or AP50:95 is out of its limits."""
    status = 0
    for count in map(str, DRAWN):
        for at, figure in enumerate(FIGURES[:2]):
            share = float(np.mean([result[count]["ours"][at] for result in results.values()]))
            wrong = not LOWEST <= share <= HIGHEST
            print(f"{count} images: {figure} contained in {100 * share:.1f} %{' <- out of limits' * wrong}")
            status |= wrong
    return status


if __name__ == "__main__":
    sys.exit(main())
