"""Compare margin_diverse with random labels on images with several classes each.

The images are 3,000 mosaics of scikit-learn's digits, of which each seed draws 2,000 to choose from. The
1,200 that are held out show other digits. Blood cells are added if they are there, with a third held out.
The figure is macro F1 on the held-out images. Run:

    make bench-several-classes ARGS="--seeds 10 --resize squash --cells FOLDER"

FOLDER is BCCD's, with JPEGImages and Annotations; the default is ../shared/data/bccd. Which cells are present
are the classes of an image.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.cli.datasets import mosaics
from octospoon.cli.datasets.labelled import embed
from octospoon.cli.operations import backbones
from octospoon.domain.batch.compose import CONTROL, BatchRules
from octospoon.domain.model_spec import RESIZE_RULES, SIGMOID
from octospoon.training.backbone import catalogue
from octospoon.training.evaluation.curves import mean_interval
from octospoon.training.graph.parts import widths
from octospoon.training.model.model_file import extract_backbone
from octospoon.training.model.optimize import cold_start
from octospoon.training.simulation import Labelled, Plan, Split, rounds, score

STRATEGY = "margin_diverse"
MADE, POOL, HELD_OUT = 3000, 2000, 1200
CELLS = Path("../shared/data/bccd")
NAMES = ("RBC", "WBC", "Platelets")
MOSAIC_STOPS, CELL_STOPS = (50, 100, 150, 200), (30, 60, 100, 150)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--resize", choices=RESIZE_RULES, default="squash")
    parser.add_argument("--cells", type=Path, default=CELLS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with backbones.download_bar() as watch:
        pulled = backbones.pull(catalogue.PHOTOS, print, watch)
    model = cold_start(extract_backbone(pulled.model), chosen.resize)
    threadpool_limits(1)
    splits = [drawn(seed) for seed in range(chosen.seeds)]
    results = {"mosaics": compared("mosaics", of_mosaics(model), splits, MOSAIC_STOPS, 20)}
    if (chosen.cells / "Annotations").is_dir():
        data = of_cells(chosen.cells, model)
        splits = [shuffled(len(data.labels), seed) for seed in range(chosen.seeds)]
        results["blood cells"] = compared("blood cells", data, splits, CELL_STOPS, 10)
    else:
        print(f"SKIPPED: there are no blood cells at {chosen.cells}")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    return 0


def of_mosaics(model: bytes) -> Labelled:
    made = [mosaics.mosaic(i) for i in range(MADE)]
    made += [mosaics.mosaic(i, held_out=True) for i in range(HELD_OUT)]
    labels = np.zeros((len(made), len(mosaics.CLASSES)), np.int64)
    for row, each in zip(labels, made, strict=True):
        row[each.classes] = 1
    embeddings, _ = embed([each.png_bytes() for each in made], model)
    return Labelled(embeddings, labels, labels.shape[1], widths(model), SIGMOID)


def of_cells(folder: Path, model: bytes) -> Labelled:
    files = sorted((folder / "JPEGImages").glob("*.jpg"))
    notes = [ElementTree.parse(folder / "Annotations" / f"{file.stem}.xml").getroot() for file in files]
    present = [{cell.findtext("name") for cell in note.iter("object")} for note in notes]
    labels = np.array([[int(name in each) for name in NAMES] for each in present], np.int64)
    embeddings, _ = embed([file.read_bytes() for file in files], model)
    return Labelled(embeddings, labels, len(NAMES), widths(model), SIGMOID)


def drawn(seed: int) -> Split:
    pool = np.random.default_rng(seed).choice(MADE, POOL, replace=False)
    return Split(np.sort(pool), np.arange(MADE, MADE + HELD_OUT))


def shuffled(images: int, seed: int) -> Split:
    order = np.random.default_rng(seed).permutation(images)
    return Split(np.sort(order[: images * 2 // 3]), np.sort(order[images * 2 // 3 :]))


def compared(
    name: str, data: Labelled, splits: list[Split], stops: tuple[int, ...], batch: int
) -> dict[str, list[float]]:
    """Print and return both curves, the lead with its interval, and the classes of the images chosen."""
    plan = Plan.through(stops, BatchRules(batch, 0.2))
    places = [plan.labels.index(stop) for stop in stops]
    scores: dict[str, list[list[float]]] = {CONTROL: [], STRATEGY: []}
    classes = []
    for seed, split in enumerate(splits):
        for each, curves in scores.items():
            heads = list(rounds(data, split.pool, plan, each, seed))
            curves.append([score(data, split, heads[at][1]).accuracy for at in places])
        classes.append(data.labels[heads[-1][0]].sum(axis=1).mean())
    means = {each: np.mean(curves, axis=0).tolist() for each, curves in scores.items()}
    leads = np.array(scores[STRATEGY]) - np.array(scores[CONTROL])
    intervals = [mean_interval(column) for column in leads.T]
    print(f"\n{name}: {data.labels.sum(axis=1).mean():.2f} classes per image, {np.mean(classes):.2f} chosen")
    for at, stop in enumerate(stops):
        ends = f"{intervals[at].low:+.4f} to {intervals[at].high:+.4f}"
        shown = "  ".join(f"{each} {mean[at]:.4f}" for each, mean in means.items())
        print(f"{stop:4d} labels: {shown}  lead {leads[:, at].mean():+.4f} ({ends})", flush=True)
    return means | {
        "lead": leads.mean(axis=0).tolist(),
        "low": [each.low for each in intervals],
        "high": [each.high for each in intervals],
    }


if __name__ == "__main__":
    sys.exit(main())
