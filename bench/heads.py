"""Compare heads for few labels on every image set at hand: on the same images, labels and held-out thirds.

Labels are drawn at random, or chosen by margin_diverse with the product's head. Run:

    make image-sets
    python -m bench.heads [--heads NAMES] [--backbones NAMES] [--sets NAMES] [--seeds 20] [--json FILE]

The first head is the one that the others are compared with. Each result is stored under a hash of the
embeddings and of the code, so an interrupted run goes on. Missing sets are skipped with a line.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench import head_rivals
from bench.head_rivals import RIVALS, Task
from bench.image_sets import SETS
from bench.label_value import BACKBONES, CODE, STORED, STRATEGY, embedded, say, source
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.batch.compose import BatchRules
from octospoon.training.evaluation.curves import mean_interval
from octospoon.training.simulation import Plan, rounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

POINTS = (10, 20, 50, 100, 200, 500)
BATCH = 50
KINDS = ("random", STRATEGY)
MEASURES = ("accuracy", "balanced accuracy", "log loss", "calibration error")
HEADS = STORED / "heads"


@dataclass(frozen=True, slots=True)
class Job:
    """The label sets of one seed, by one rule, on the embeddings of a file."""

    embeddings: Path
    kind: str
    seed: int

    @property
    def points(self) -> tuple[int, ...]:
        """The numbers of labels: at most half of the pool."""
        pool = len(source(self.embeddings).split(0).pool)
        return tuple(n for n in POINTS if 2 * n <= pool)

    def order(self) -> npt.NDArray[np.int64]:
        """Return the positions of the labelled images, in the order in which they are labelled."""
        images, last = source(self.embeddings), self.points[-1]
        pool = images.split(self.seed).pool
        if self.kind == "random":
            return np.random.default_rng(self.seed).permutation(pool)[:last]
        stored = self.stored(f"order {_code('domain')}")
        if not stored.exists():
            plan = Plan.through(self.points, BatchRules(min(BATCH, last), audit_share=0.0))
            for chosen, _ in rounds(images.data, pool, plan, self.kind, self.seed):
                order = chosen
            _write(stored, order.tolist())
        return np.array(json.loads(stored.read_text()), np.int64)

    def stored(self, what: str) -> Path:
        """Return the file of a result; its name depends on all that the result depends on."""
        key = f"{self.embeddings.name} {self.kind} {self.seed} {self.points} {what} {_code('training/head')}"
        return HEADS / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def measured(self, head: str) -> list[list[float]]:
        """Return `MEASURES` at each point, and the seconds of a fit; compute them if they are not stored."""
        stored = self.stored(f"{head} {_hashed([Path(head_rivals.__file__)])}")
        if not stored.exists():
            images = source(self.embeddings)
            split, data, order = images.split(self.seed), images.data, self.order()
            pool = data.embeddings[np.random.default_rng(self.seed).permutation(split.pool)[:2000]]
            rows = []
            for n in self.points:
                chosen = order[:n]
                task = Task(data.embeddings[chosen], data.labels[chosen], data.classes, data.parts, pool)
                began = time.process_time()
                line = RIVALS[head](task)
                seconds = time.process_time() - began
                held_out = data.embeddings[split.held_out], data.labels[split.held_out]
                rows.append([*head_rivals.accuracy_and_calibration(line, *held_out), seconds])
            _write(stored, rows)
        values: list[list[float]] = json.loads(stored.read_text())
        return values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", default="logistic,ridge", help=f"of {', '.join(RIVALS)}")
    parser.add_argument("--backbones", default=",".join(BACKBONES), help=f"of {', '.join(BACKBONES)}")
    parser.add_argument("--sets", default=",".join(each.name for each in SETS))
    parser.add_argument("--labels", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    heads = chosen.heads.split(",")
    HEADS.mkdir(parents=True, exist_ok=True)
    files = embedded(chosen.sets.split(","), chosen.backbones.split(","))
    results: dict[tuple[str, str, str, str], list[list[list[float]]]] = {}
    with threadpool_limits(1):
        for seed in range(chosen.seeds):
            for (name, backbone), path in files.items():
                for kind in chosen.labels.split(","):
                    for head in heads:
                        rows = Job(path, kind, seed).measured(head)
                        results.setdefault((name, backbone, kind, head), []).append(rows)
            say(f"seed {seed} of {chosen.seeds}")
    if chosen.json:
        chosen.json.write_text(json.dumps({" | ".join(key): rows for key, rows in results.items()}))
    print("\n".join(tables(results, heads)))
    return 0


Results = dict[tuple[str, str, str, str], list[list[list[float]]]]


def tables(results: Results, heads: Sequence[str]) -> Iterator[str]:
    """Yield Markdown: for each set how the heads differ from the first, and the means over the sets."""
    first = heads[0]
    for kind in dict.fromkeys(key[2] for key in results):
        yield f"\n{kind} labels: {first}, and the other heads' differences in accuracy, points\n"
        yield f"| set | backbone | head | {' | '.join(map(str, POINTS))} |"
        yield "|---" * (3 + len(POINTS)) + "|"
        for name, backbone, _, _ in [key for key in results if key[2] == kind and key[3] == first]:
            base = np.array(results[name, backbone, kind, first])
            yield _row(name, backbone, first, [f"{100 * v:.1f}" for v in base[:, :, 0].mean(axis=0)])
            for head in heads[1:]:
                gaps = 100 * (np.array(results[name, backbone, kind, head]) - base)[:, :, 0]
                yield _row(name, backbone, head, [_interval(column) for column in gaps.T])
        yield from _means(results, heads, kind)


def _means(results: Results, heads: Sequence[str], kind: str) -> Iterator[str]:
    """Yield the means over sets and backbones of each measure, and the worst accuracy against the first."""
    keys = [key[:2] for key in results if key[2] == kind and key[3] == heads[0]]
    yield f"\n{kind} labels: means over the sets\n"
    yield f"| measure | head | {' | '.join(map(str, POINTS))} |"
    yield "|---" * (2 + len(POINTS)) + "|"
    for at, measure in enumerate((*MEASURES, "milliseconds")):
        for head in heads:
            cells = []
            for n in range(len(POINTS)):
                values = [np.array(results[*key, kind, head])[:, :, at].mean(axis=0) for key in keys]
                cells.append((1000 if at == 4 else 100) * np.mean([row[n] for row in values if len(row) > n]))
            yield _row(measure, head, *[], [f"{cell:.1f}" for cell in cells])
    for head in heads[1:]:
        cells = []
        for n in range(len(POINTS)):
            both = [
                [np.array(results[*key, kind, each])[:, :, 0] for each in (head, heads[0])] for key in keys
            ]
            gaps = [(ours - base).mean(axis=0) for ours, base in both]
            cells.append(f"{100 * min(row[n] for row in gaps if len(row) > n):+.1f}")
        yield _row("worst set, accuracy", head, cells)


def _row(*cells: str | list[str]) -> str:
    flat = [text for cell in cells for text in (cell if isinstance(cell, list) else [cell])]
    return "| " + " | ".join(flat) + " |"


def _interval(values: npt.NDArray[np.float64]) -> str:
    if len(values) < 2:
        return f"{values.mean():+.1f}"
    interval = mean_interval(values)
    return f"{values.mean():+.1f} ± {(interval.high - interval.low) / 2:.1f}"


def _code(folder: str) -> str:
    return _hashed(sorted((CODE.parent / folder).rglob("*.py")) or sorted((CODE / folder).rglob("*.py")))


def _hashed(paths: Sequence[Path]) -> str:
    content = hashlib.sha256()
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()


def _write(path: Path, values: object) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(values))
    part.rename(path)


if __name__ == "__main__":
    sys.exit(main())
