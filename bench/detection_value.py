"""Measure what a label is worth for boxes: three ways to add up a detector's doubt, against random images.

The doubt of an image is the sum, the largest or the mean of the entropies of its detections. Each is followed
by k-means on the embeddings, as in margin_diverse. Each seed labels START images at random, then doubles the
labels, and trains a new detector each time. AP50 is measured on images that are never labelled. Random labels
go on to twice as many images, so that strategies can be compared at equal numbers of boxes. Run:

    make finetune
    make bench-detection-value ARGS="--seeds 5 --sets mosaics" JSON=file PLOT=file

Replays are stored under a hash of the code, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from bench import box_sets
from bench.box_curves import draw, tables
from bench.image_sets import FETCHED, Missing

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.cli.operations.backbones import pull
from octospoon.domain.acquisition import margin_diverse
from octospoon.domain.acquisition.strategy import Candidates
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, SCORES
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.task_types.detection.predictions import doubt
from octospoon.training.detector import features
from octospoon.training.detector.maps import opset_of, resized
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import RULES
from octospoon.training.model.model_file import extract_backbone

if TYPE_CHECKING:
    import numpy.typing as npt
    from bench.box_sets import BoxSet

    from octospoon.training.detector.features import Features

BACKBONE = "efficientnet-lite0"
START, LAST, LAST_RANDOM = 20, 80, 160
"""Labelled images at the first round, at a strategy's last, and at random's last."""
POOL_SHARE = 0.8
"""Of the images that can be labelled, drawn anew for each seed."""
OPTIONS = DetectorOptions(epochs=5, least_steps=160, batch_size=4)
"""Fewer steps than by default, because each seed trains ten detectors."""
RANDOM = "random"
STRATEGIES = ("sum", "largest", "mean")
STORED = FETCHED / "measured" / "boxes"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(box_sets.SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no further seed after this time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    STORED.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[dict[str, Any]]] = {}
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        worlds = {name: world for name in chosen.sets.split(",") if (world := _world(name, Path(folder)))}
        for seed in range(chosen.seeds):
            for name, world in worlds.items():
                if (time.monotonic() - began) / 60 > chosen.minutes and not world.stored(seed).exists():
                    continue
                curves.setdefault(name, []).append(world.replayed(seed))
                print(f"{name}: seed {seed} of {chosen.seeds} is done", file=sys.stderr, flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(curves, indent=1))
    if chosen.plot:
        draw(curves, chosen.plot)
    print("\n".join(tables(curves)))
    return 0


@dataclass(frozen=True, slots=True)
class World:
    """A set of images with the maps and embeddings of a backbone.

    Attributes:
        images: the set.
        pool: the maps of the images that can be labelled, in all views.
        embeddings: float32 [N, D], of the same images.
        tested: the maps of the other images.
        truth: float64 [T, M, 5], the targets of these.
        opset: of the backbone.
    """

    images: BoxSet
    pool: Features
    embeddings: npt.NDArray[np.float32]
    tested: Features
    truth: npt.NDArray[np.float64]
    opset: int

    def stored(self, seed: int) -> Path:
        """Return the file of a seed's curves; its name depends on the code that chooses and trains."""
        key = f"{self.images.name} {seed} {START} {LAST} {LAST_RANDOM} {POOL_SHARE} {OPTIONS} {_code()}"
        return STORED / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def replayed(self, seed: int) -> dict[str, Any]:
        """Return for each strategy the images, boxes and AP50 of each round."""
        if not self.stored(seed).exists():
            text = json.dumps(self._replay(seed))
            part = self.stored(seed).with_suffix(".part")
            part.write_text(text)
            part.rename(self.stored(seed))
        result: dict[str, Any] = json.loads(self.stored(seed).read_text())
        return result

    def _replay(self, seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.images.targets))
        drawn = order[: round(POOL_SHARE * len(order))]
        head, first = self._measured(drawn[:START], seed)
        curves: dict[str, Any] = {RANDOM: [first]}
        count = 2 * START
        while count <= LAST_RANDOM:
            curves[RANDOM].append(self._measured(drawn[:count], seed)[1])
            count *= 2
        for strategy in STRATEGIES:
            labelled, current, points = drawn[:START], head, [first]
            while 2 * len(labelled) <= LAST:
                rest = np.setdiff1d(drawn, labelled)
                chosen = self._chosen(strategy, current, rest, len(labelled), f"{seed} {len(labelled)}")
                labelled = np.concatenate([labelled, chosen])
                current, point = self._measured(labelled, seed)
                points.append(point)
            curves[strategy] = points
        return curves

    def _measured(self, labelled: npt.NDArray[np.int64], seed: int) -> tuple[bytes, dict[str, float]]:
        """Train a detector; return its head, and its numbers of images and boxes with its AP50."""
        import torch

        from octospoon.training.detector.export import head_file
        from octospoon.training.detector.loop import train

        shuffled = np.random.default_rng(seed).permutation(labelled)
        apart = len(shuffled) // 5
        options = msgspec.structs.replace(OPTIONS, seed=seed)
        course = train(
            self.pool,
            shuffled[apart:],
            shuffled[:apart],
            len(self.images.classes),
            options,
            torch.device("cpu"),
        )
        head = head_file(course.detector, self.pool.maps, RULES, self.opset)
        predictions = _predicted(head, self.tested, np.arange(len(self.truth)))
        return head, {
            "images": len(labelled),
            "boxes": sum(len(self.images.targets[i]) for i in labelled.tolist()),
            "ap50": DetectionEvaluator().metric(predictions, self.truth),
        }

    def _chosen(
        self, strategy: str, head: bytes, rest: npt.NDArray[np.int64], n: int, seed: str
    ) -> npt.NDArray[np.int64]:
        """Choose by margin_diverse from outcomes that have the order of a strategy's doubt."""
        predictions = _predicted(head, self.pool, rest)
        total, mean, largest = doubt(predictions)
        score = {"sum": total, "mean": mean, "largest": largest}[strategy]
        fails = 0.5 * score / (1 + score)  # as `predictions.outcomes` does it with the sum
        pool = Candidates(
            [f"{i:06d}" for i in rest.tolist()],
            predictions,
            self.embeddings[rest],
            outcomes=np.column_stack([1 - fails, fails]),
        )
        return rest[margin_diverse.select(pool, n, seed)]


def _world(name: str, folder: Path) -> World | None:
    """Return a set with its maps, which are computed once, or None if it is missing."""
    try:
        images = box_sets.SETS[name]()
    except Missing as missing:
        print(f"SKIPPED {name}: {missing}", file=sys.stderr)
        return None
    model = pull(BACKBONE, lambda line: print(line, file=sys.stderr), lambda *_: None).model
    backbone = resized(extract_backbone(model), *images.pixels.shape[1:3])
    options = DetectorOptions(flip=images.flip)
    parts = []
    for kind, pixels, targets, used in (
        ("pool", images.pixels, images.targets, options),
        ("tested", images.tested, images.truth, DetectorOptions(views=1)),
    ):
        (place := folder / name / kind).mkdir(parents=True)
        parts.append(features.compute(backbone, pixels, targets, used, place))
    session = open_session(backbone)
    embeddings = [
        run_session(session, [EMBEDDING], {INPUT: images.pixels[i : i + 8]})[0]
        for i in range(0, len(images.pixels), 8)
    ]
    truth = np.full((len(images.truth), max(map(len, images.truth)), 5), -1.0)
    for rows, boxes in zip(truth, images.truth, strict=True):
        rows[: len(boxes)] = boxes
    return World(images, parts[0], np.concatenate(embeddings), parts[1], truth, opset_of(backbone))


def _predicted(head: bytes, of: Features, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return predictions float32 [N, K, 4 + C] of some images, from their stored maps."""
    session, parts = open_session(head), []
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        maps, _ = of.batch(np.zeros_like(part), part)
        feed = {each.tensor: values for each, values in zip(of.maps, maps, strict=True)}
        parts.append(np.concatenate(run_session(session, [BOXES, SCORES], feed), axis=2))
    return np.concatenate(parts)


def _code() -> str:
    """Return a hash of the code that chooses and trains."""
    root = Path(features.__file__).parents[2]
    paths = [
        *sorted((root / "training/detector").glob("*.py")),
        root / "domain/acquisition/margin_diverse.py",
        root / "domain/acquisition/diverse.py",
        root / "domain/task_types/detection/predictions.py",
        root / "cli/datasets/mosaics.py",
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
