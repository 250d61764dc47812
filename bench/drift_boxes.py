"""Measure how often drift of a detector is suspected without a change, and how soon a change is noticed.

Images are digit mosaics. Their embeddings are those of the starter model. Their predictions are those of a
made-up detector: it misses some digits, takes some for others, sees some that are not there, and is less sure
in dark images. Each trial draws a reference and the days after it, without a common image. Days with
a change are drawn with repeats, because fewer images show it. Run:

    make bench-drift-boxes JSON=file

The script fails if more than 5 % of the days without a change are suspected.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.cli.datasets import mosaics
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.domain.monitoring import drift, two_sample_tests
from octospoon.domain.monitoring.drift import FALSE_ALARMS, Level
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.stored_boxes import as_stored
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.task_types.detection.predictions import THRESHOLD, detections
from octospoon.training.model.model_file import read_spec, starter_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

IMAGES, DARKENED = 2000, 600
REFERENCE, READ = 800, 500
"""Images whose embeddings are the reference, and those of them that the detector read."""
WINDOWS = (500, 100)
"""Uploads of a day: the most and the fewest that `watch` tests."""
UNCHANGED, CHANGED, DAYS = 500, 60, 5
"""Trials without and with a change, and days of a trial with one."""
COMPONENTS = 128
"""Numbers to which embeddings are reduced beforehand, so that a trial takes a tenth of a second."""
MISSING, RARE, CROWDED = 2, 8, 4
"""Classes that disappear, and the least number of objects in a crowded image."""
RIGHT, FALSE = 0.9, 1.0
"""Share of the digits whose class is right, and mean number of boxes without a digit."""
EVALUATOR = DetectionEvaluator()


@dataclass(frozen=True, slots=True)
class Seen:
    """Images as the detector sees them.

    Attributes:
        embeddings: float32 [N, COMPONENTS].
        statistics: float32 [N, S].
        boxes: int64 [N, C], how many boxes of each class are shown.
    """

    embeddings: Floats
    statistics: Floats
    boxes: npt.NDArray[np.int64]

    def only(self, rows: npt.NDArray[np.int64]) -> Seen:
        return Seen(self.embeddings[rows], self.statistics[rows], self.boxes[rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    plain, dark, objects = _all_seen()
    changes = {
        "no change": (plain, np.ones(len(objects), bool)),
        "a class disappears": (plain, objects[:, MISSING] == 0),
        "a rare class disappears": (plain, objects[:, RARE] == 0),
        "almost twice as many objects": (plain, objects.sum(axis=1) >= CROWDED),
        "darker by 30 %": (dark, np.ones(DARKENED, bool)),
    }
    rows = [_row(name, plain, *change, size) for size in WINDOWS for name, change in changes.items()]
    print("\n".join(_table(rows)))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1))
    return int(any(row["suspected"] > FALSE_ALARMS for row in rows if row["change"] == "no change"))


def _row(name: str, plain: Seen, other: Seen, kept: npt.NDArray[np.bool_], size: int) -> dict[str, Any]:
    """Return how the days of one kind were judged."""
    unchanged = name == "no change"
    first, days, boxes = [], [], []
    for seed in range(UNCHANGED if unchanged else CHANGED):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(plain.embeddings))
        used, rest = order[:REFERENCE], order[REFERENCE:]
        reference = plain.only(used)
        known = drift.reference(reference.embeddings, reference.statistics[:READ])
        if unchanged:
            windows = [plain.only(rest[:size])]
        else:
            fitting = np.setdiff1d(np.flatnonzero(kept), used)
            windows = [other.only(rng.choice(fitting, size)) for _ in range(DAYS)]
        findings = _judged(known, windows)
        first.append(findings[0])
        days.append(next((i for i, each in enumerate(findings, 1) if each.level is Level.CONFIRMED), np.inf))
        sums = [part.boxes.sum(axis=0) for part in (plain.only(used[:READ]), windows[0])]
        boxes.append(two_sample_tests.chi_squared(*sums) * drift.TESTS <= FALSE_ALARMS)
    limit = FALSE_ALARMS / drift.TESTS
    return {
        "change": name,
        "uploads": size,
        "trials": len(first),
        "suspected": float(np.mean([each.level is not Level.NONE for each in first])),
        "confirmed": float(np.mean([each.level is Level.CONFIRMED for each in first])),
        "days": float(np.median(days)),
        "embeddings": float(np.mean([each.components_p <= limit for each in first])),
        "predictions": float(np.mean([each.probabilities_p <= limit for each in first])),
        "classes": float(np.mean([each.classes_p <= limit for each in first])),
        "boxes_counted": float(np.mean(boxes)),
    }


def _judged(known: drift.Reference, windows: Sequence[Seen]) -> list[drift.DriftResult]:
    findings: list[drift.DriftResult] = []
    for window in windows:
        suspected = bool(findings) and findings[-1].level is not Level.NONE
        findings.append(
            drift.compare(
                known,
                window.embeddings,
                window.statistics,
                EVALUATOR.predicted_classes,
                suspected_before=suspected,
            )
        )
    return findings


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    tests = ("embeddings", "predictions", "classes", "boxes_counted")
    head = ("change", "uploads", "suspected", "confirmed", "days", *tests)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [f"{row[name]:g}" if name in ("uploads", "days") else f"{row[name]:.1%}" for name in head[1:]]
        lines.append("| " + " | ".join([row["change"], *cells]) + " |")
    return lines


def _all_seen() -> tuple[Seen, Seen, npt.NDArray[np.int64]]:
    """Return the mosaics, darkened copies of the first, and the digits of each class in each mosaic."""
    made = [mosaics.mosaic(index, held_out=True) for index in range(IMAGES)]
    pixels = np.stack([each.pixels for each in made])
    embeddings = _embeddings(np.concatenate([pixels, np.round(0.7 * pixels[:DARKENED]).astype(np.uint8)]))
    centre = embeddings[:IMAGES].mean(axis=0)
    axes = np.linalg.svd(embeddings[:IMAGES] - centre, full_matrices=False)[2][:COMPONENTS].T
    reduced = (embeddings @ axes).astype(np.float32)
    rng = np.random.default_rng(0)
    plain = _predicted([_detections(each, 1.0, rng) for each in made])
    dark = _predicted([_detections(each, 0.85, rng) for each in made[:DARKENED]])
    objects = np.stack([np.bincount(each.classes, minlength=len(mosaics.CLASSES)) for each in made])
    return Seen(reduced[:IMAGES], *plain), Seen(reduced[IMAGES:], *dark), objects


def _embeddings(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    model = starter_model()
    spec, session = read_spec(model), open_session(model)
    small = [
        np.asarray(Image.fromarray(each).resize((spec.width, spec.height), Image.Resampling.BOX))
        for each in pixels
    ]
    parts = [
        run_session(session, [EMBEDDING], {INPUT: np.stack(small[start : start + 100])})[0]
        for start in range(0, len(small), 100)
    ]
    return np.concatenate(parts).astype(np.float16).astype(np.float64)


def _detections(image: mosaics.Mosaic, light: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return what the made-up detector predicts, float32 [K, 4 + C]; `light` is 1 for a usual image."""
    classes, easy = len(mosaics.CLASSES), float(rng.normal(0, 0.6))
    rows = []
    for place, position in zip(image.boxes, image.classes.tolist(), strict=True):
        sure = light / (1 + np.exp(-(2.0 + easy + rng.normal(0, 1.0))))
        given = position if rng.random() < RIGHT else int(rng.integers(classes))
        rows.append([*place, *(sure * (np.arange(classes) == given))])
    for _ in range(rng.poisson(FALSE)):
        corner = rng.uniform(0, 0.8, 2)
        sure = light * float(rng.beta(1, 6))
        rows.append([*corner, *(corner + 0.15), *(sure * (np.arange(classes) == rng.integers(classes)))])
    return np.array(rows, np.float32).reshape(-1, 4 + classes)


def _predicted(each: Sequence[npt.NDArray[np.float32]]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the statistics of predictions, and how many boxes of each class are shown."""
    predictions = together([as_stored(rows) for rows in each])
    given = detections(predictions, THRESHOLD)
    boxes = np.zeros((len(predictions), len(mosaics.CLASSES)), np.int64)
    np.add.at(boxes, (given.images, given.classes), 1)
    return EVALUATOR.statistics(predictions), boxes


if __name__ == "__main__":
    sys.exit(main())
