"""Measure how often drift of a detector is suspected without a change, and how soon a change is noticed.

A detector is trained on digit mosaics, and predicts mosaics of other handwriting. Each trial draws from these
a reference and the days after it, without a common image. A window has 500 uploads, as `watch` draws them.
Days with a change are drawn with repeats, because fewer images show it. Run:

    make finetune
    make bench-drift-boxes JSON=file

The script fails if more than 5 % of the days without a change are suspected. Predictions are stored under a
hash of the code that makes them, so that a second run takes a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.image_sets import FETCHED

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.cli.datasets import mosaics
from octospoon.cli.operations.backbones import pull
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, SCORES, ModelSpec
from octospoon.domain.monitoring import drift, two_sample_tests
from octospoon.domain.monitoring.drift import FALSE_ALARMS, Level
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.stored_boxes import as_stored
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.task_types.detection.predictions import THRESHOLD, detections
from octospoon.training.detector import features
from octospoon.training.detector.maps import resized
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import assembled
from octospoon.training.model.model_file import extract_backbone

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.floating]

BACKBONE = "efficientnet-lite0"
TRAINED, PREDICTED, DARKENED = 160, 2000, 600
OPTIONS = DetectorOptions(flip=False, epochs=8, least_steps=200, batch_size=4, views=2, minutes=6)
REFERENCE, READ, WINDOW = 800, 500, 500
"""Images whose embeddings are the reference, those of them that the detector read, and uploads of a day."""
UNCHANGED, CHANGED, DAYS = 500, 100, 5
"""Trials without and with a change, and days of a trial with one."""
COMPONENTS = 128
"""Numbers to which embeddings are reduced beforehand, so that a trial takes a tenth of a second."""
MISSING, CROWDED = 2, 4
"""The class that disappears, and the least number of objects in a crowded image."""
EVALUATOR = DetectionEvaluator()
STORED = FETCHED / "measured" / "drift-boxes"


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
    arrays = _predictions()
    plain, dark, objects = _seen(arrays, "plain"), _seen(arrays, "dark"), arrays["objects"]
    changes = {
        "no change": (plain, np.ones(len(objects), bool)),
        f"the class {mosaics.CLASSES[MISSING]} disappears": (plain, objects[:, MISSING] == 0),
        "twice as many objects": (plain, objects.sum(axis=1) >= CROWDED),
        "darker by 30 %": (dark, np.ones(DARKENED, bool)),
    }
    rows = [_row(name, plain, *change) for name, change in changes.items()]
    print("\n".join(_table(rows)))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1))
    return int(rows[0]["suspected"] > FALSE_ALARMS)


def _row(name: str, plain: Seen, other: Seen, kept: npt.NDArray[np.bool_]) -> dict[str, Any]:
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
            windows = [plain.only(rest[:WINDOW])]
        else:
            fitting = np.setdiff1d(np.flatnonzero(kept), used)
            windows = [other.only(rng.choice(fitting, WINDOW)) for _ in range(DAYS)]
        findings = _judged(known, windows)
        first.append(findings[0])
        days.append(next((i for i, each in enumerate(findings, 1) if each.level is Level.CONFIRMED), np.inf))
        sums = [part.boxes.sum(axis=0) for part in (plain.only(used[:READ]), windows[0])]
        boxes.append(two_sample_tests.chi_squared(*sums) * drift.TESTS <= FALSE_ALARMS)
    limit = FALSE_ALARMS / drift.TESTS
    return {
        "change": name,
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
    head = ("change", "suspected", "confirmed", "days", *tests)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        shares = [f"{100 * row[name]:.1f} %" if name != "days" else f"{row[name]:.1f}" for name in head[1:]]
        lines.append("| " + " | ".join([row["change"], *shares]) + " |")
    return lines


def _seen(arrays: dict[str, npt.NDArray[Any]], name: str) -> Seen:
    centre = arrays["plain_embeddings"].astype(np.float64)
    axes = np.linalg.svd(centre - centre.mean(axis=0), full_matrices=False)[2][:COMPONENTS].T
    predictions = together([as_stored(each) for each in arrays[f"{name}_predictions"].astype(np.float32)])
    given, classes = detections(predictions, THRESHOLD), len(mosaics.CLASSES)
    boxes = np.zeros((len(predictions), classes), np.int64)
    np.add.at(boxes, (given.images, given.classes), 1)
    embeddings = (arrays[f"{name}_embeddings"].astype(np.float64) @ axes).astype(np.float32)
    return Seen(embeddings, EVALUATOR.statistics(predictions), boxes)


def _predictions() -> dict[str, npt.NDArray[Any]]:
    """Return embeddings and predictions of the mosaics, and how many digits of each class they show."""
    STORED.mkdir(parents=True, exist_ok=True)
    path = STORED / f"{_code()}.npz"
    if not path.exists():
        made = [mosaics.mosaic(index, held_out=True) for index in range(PREDICTED)]
        pixels = np.stack([each.pixels for each in made])
        model = _detector()
        plain = _run(model, pixels)
        dark = _run(model, np.round(0.7 * pixels[:DARKENED]).astype(np.uint8))
        objects = [np.bincount(each.classes, minlength=len(mosaics.CLASSES)) for each in made]
        np.savez(
            path,
            objects=np.stack(objects),
            plain_embeddings=plain[0],
            plain_predictions=plain[1],
            dark_embeddings=dark[0],
            dark_predictions=dark[1],
        )
    with np.load(path) as arrays:
        return dict(arrays)


def _detector() -> bytes:
    """Train a detector on mosaics; return its file."""
    import torch

    from octospoon.training.detector.loop import train

    made = [mosaics.mosaic(index) for index in range(TRAINED)]
    pixels = np.stack([each.pixels for each in made])
    targets = [np.column_stack([each.boxes, each.classes]) for each in made]
    model = pull(BACKBONE, lambda line: print(line, file=sys.stderr), lambda *_: None).model
    backbone = resized(extract_backbone(model), mosaics.HEIGHT, mosaics.WIDTH)
    torch.set_num_threads(1)  # two threads of a busy machine wait for each other
    with TemporaryDirectory() as folder:
        computed = features.compute(backbone, pixels, targets, OPTIONS, Path(folder))
        order = np.random.default_rng(0).permutation(TRAINED)
        apart, classes = TRAINED // 5, len(mosaics.CLASSES)
        course = train(computed, order[apart:], order[:apart], classes, OPTIONS, torch.device("cpu"))
        spec = ModelSpec(mosaics.CLASSES, mosaics.HEIGHT, mosaics.WIDTH, 1280, "squash", "b" * 64, 1)
        return assembled(backbone, course.detector, computed.maps, spec)


def _run(model: bytes, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float16], Floats]:
    session = open_session(model)
    parts = [
        run_session(session, [EMBEDDING, BOXES, SCORES], {INPUT: pixels[start : start + 8]})
        for start in range(0, len(pixels), 8)
    ]
    embeddings, boxes, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return embeddings.astype(np.float16), np.concatenate([boxes, scores], axis=2)


def _code() -> str:
    """Return a hash of the code that makes the predictions."""
    root = Path(features.__file__).parents[2]
    paths = [*sorted((root / "training/detector").glob("*.py")), root / "cli/datasets/mosaics.py"]
    text = f"{OPTIONS} {TRAINED} {PREDICTED} {DARKENED}".encode()
    return hashlib.sha256(b"".join([text, *(path.read_bytes() for path in paths)])).hexdigest()[:24]


if __name__ == "__main__":
    sys.exit(main())
