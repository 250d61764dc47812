"""Measure what a label is worth for boxes: three ways to add up a detector's doubt, against random images.

The doubt of an image is the sum, the largest or the mean of the entropies of its detections. Each is followed
by k-means on the embeddings, as in margin_diverse. Each seed labels 20 images at random, then doubles the
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

import msgspec
import numpy as np
from bench import box_sets
from bench.box_curves import tables
from bench.image_sets import FETCHED, Missing

from octospoon.cli.operations.backbones import pull
from octospoon.cli.operations.plots import box_curves
from octospoon.domain.pool.framing import WHOLE
from octospoon.training.detector import features
from octospoon.training.detector.maps import resized
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.replay import WAYS, BoxImages, Point, Replay, Rounds, prepare
from octospoon.training.model.model_file import extract_backbone

BACKBONE = "efficientnet-lite0"
ROUNDS = Rounds((20, 40, 80), (160,))
"""Labelled images; random images go on, so that they have as many boxes as others."""
OPTIONS = DetectorOptions()
"""A stack's defaults."""
POOL_SHARE = 0.8
"""Of the images that can be labelled, drawn anew for each seed."""
STORED = FETCHED / "measured" / "boxes"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", default=",".join(box_sets.SETS))
    parser.add_argument("--strategies", default=",".join(WAYS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no further seed after this time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    STORED.mkdir(parents=True, exist_ok=True)
    curves: dict[str, list[dict[str, list[Point]]]] = {}
    strategies, began = tuple(chosen.strategies.split(",")), time.monotonic()
    with TemporaryDirectory() as folder:
        worlds = {
            name: world
            for name in chosen.sets.split(",")
            if (world := _world(name, strategies, Path(folder)))
        }
        for seed in range(chosen.seeds):
            for name, world in worlds.items():
                if (time.monotonic() - began) / 60 > chosen.minutes and not world.stored(seed).exists():
                    continue
                curves.setdefault(name, []).append(world.replayed(seed))
                print(f"{name}: seed {seed} of {chosen.seeds} is done", file=sys.stderr, flush=True)
    if chosen.json:
        by_name = {
            name: [
                {way: [each._asdict() for each in points] for way, points in seed.items()} for seed in seeds
            ]
            for name, seeds in curves.items()
        }
        chosen.json.write_text(json.dumps(by_name, indent=1))
    if chosen.plot:
        box_curves({f"{name}, {len(seeds)} seeds": seeds for name, seeds in curves.items()}, chosen.plot)
    print("\n".join(tables(curves)))
    return 0


@dataclass(frozen=True, slots=True)
class World:
    """A set of images with the maps and embeddings of a backbone.

    Attributes:
        name: of the set.
        images: those that can be labelled, then the others.
        pool: number of the first.
        strategies: some of `WAYS`.
    """

    name: str
    images: BoxImages
    pool: int
    strategies: tuple[str, ...]

    def stored(self, seed: int) -> Path:
        """Return the file of a seed's curves; its name depends on the code that chooses and trains."""
        key = f"{self.name} {seed} {ROUNDS} {POOL_SHARE} {OPTIONS} {self.strategies} {_code()}"
        return STORED / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def replayed(self, seed: int) -> dict[str, list[Point]]:
        """Return for each strategy the points of its rounds."""
        if not self.stored(seed).exists():
            drawn = np.random.default_rng(seed).permutation(self.pool)[: round(POOL_SHARE * self.pool)]
            held_out = np.arange(self.pool, len(self.images.truth))
            replay = Replay(self.images, drawn, held_out, ROUNDS, OPTIONS, seed, lambda: None)
            part = self.stored(seed).with_suffix(".part")
            part.write_text(json.dumps(replay.curves(self.strategies)))
            part.rename(self.stored(seed))
        stored = json.loads(self.stored(seed).read_text())
        return {name: [Point(*point) for point in points] for name, points in stored.items()}


def _world(name: str, strategies: tuple[str, ...], folder: Path) -> World | None:
    """Return a set with its maps, which are computed once, or None if it is missing."""
    try:
        images = box_sets.SETS[name]()
    except Missing as missing:
        print(f"SKIPPED {name}: {missing}", file=sys.stderr)
        return None
    model = pull(BACKBONE, lambda line: print(line, file=sys.stderr), lambda *_: None).model
    backbone = resized(extract_backbone(model), *images.pixels.shape[1:3])
    options = msgspec.structs.replace(OPTIONS, flip=images.flip)
    targets = [*images.targets, *images.truth]
    truth = np.full((len(targets), max(map(len, targets)), 5), -1.0)
    for rows, boxes in zip(truth, targets, strict=True):
        rows[: len(boxes)] = boxes
    (place := folder / name).mkdir(parents=True)
    pixels = np.concatenate([images.pixels, images.tested])
    regions = [WHOLE] * len(pixels)
    made = prepare(backbone, pixels, regions, truth, images.classes, options, place)
    return World(name, made, len(images.pixels), strategies)


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
