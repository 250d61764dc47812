"""Time and memory of choosing a batch, ours beside numpy, modAL and scikit-activeml, in one run.

    python bench/selection.py [--json FILE]

Peers are optional (modAL-python, scikit-activeml); one that is not installed is named and left out, and its
ratio is null. Every time is the median of several runs in one thread, scikit-activeml's of one run; all are
given the same float32 probabilities. The floor is what it takes to read as many bytes once.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import statistics
import sys
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.acquisition import Candidates, strategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

CLASSES, DIMENSIONS, CHOSEN, REPEATS = 10, 128, 1000, 7
MEGABYTE = 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with threadpool_limits(1):
        found = {
            "margin_1e6_1000": margin(1_000_000),
            "margin_diverse_1e5_1000": margin_diverse(100_000),
            "load_average": list(os.getloadavg()),
        }
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    return 0


def margin(size: int) -> dict[str, float | None]:
    """Compare on one pool, row-major as models give it; class-major beside it."""
    rows = dirichlet(size)
    ids = [f"{i:08d}" for i in range(size)]
    select = strategy("margin").select
    pool, turned = Candidates(ids, rows), Candidates(ids, np.asfortranarray(rows))
    floor = median_ms(floor_of(rows))
    ours = median_ms(lambda: select(pool, CHOSEN, "s"))
    columns = median_ms(lambda: select(turned, CHOSEN, "s"))
    extra = peak_mb(lambda: select(pool, CHOSEN, "s"))
    partition = median_ms(lambda: argpartition(rows))
    report("floor: reading the array once", floor)
    report("octospoon, row-major", ours, extra)
    report("octospoon, class-major", columns)
    report("numpy argpartition, float64", partition, peak_mb(lambda: argpartition(rows)))
    return {
        "over_floor": ours / floor,
        "over_floor_class_major": columns / floor,
        "numpy_ratio": partition / ours,
        "modal_ratio": ratio("modAL.uncertainty", modal, rows, ours),
        "skactiveml_ratio": ratio("skactiveml.pool", skactiveml, rows, ours, repeats=1),
        "extra_mb": extra,
        "ours_ms": ours,
        "floor_ms": floor,
    }


def margin_diverse(size: int) -> dict[str, float]:
    embeddings = np.random.default_rng(1).standard_normal((size, DIMENSIONS)).astype(np.float32)
    pool = Candidates([f"{i:08d}" for i in range(size)], dirichlet(size), embeddings)
    select = strategy("margin_diverse").select
    spent = median_ms(lambda: select(pool, CHOSEN, "s"), clock=time.process_time) / 1000
    print(f"margin_diverse, {size} x {DIMENSIONS}: {spent:.3f} s of CPU")
    return {"cpu_seconds": spent}


def dirichlet(size: int) -> Rows:
    return np.random.default_rng(0).dirichlet(np.ones(CLASSES), size).astype(np.float32)


def floor_of(rows: Rows) -> Callable[[], object]:
    """Return a call that reads as many bytes as the array has, elsewhere in a large block each time."""
    places = itertools.cycle(np.ones((8, rows.size), np.float32))
    return lambda: next(places).max()


def argpartition(rows: Rows) -> npt.NDArray[np.int64]:
    two = np.partition(rows.astype(np.float64), CLASSES - 2, axis=1)[:, -2:]
    found: npt.NDArray[np.int64] = np.argpartition(two[:, 1] - two[:, 0], CHOSEN)[:CHOSEN]
    return found


class Fixed:
    """A classifier, to the peers, that has predicted already."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def predict_proba(self, pool: object, **_: object) -> Rows:
        del pool
        return self.rows


def modal(module: ModuleType, rows: Rows) -> Callable[[], object]:
    return lambda: module.margin_sampling(Fixed(rows), rows, n_instances=CHOSEN)


def skactiveml(module: ModuleType, rows: Rows) -> Callable[[], object]:
    """Its own scores, then its own choice of a batch: what `query` does around a fitted classifier."""
    scores = importlib.import_module("skactiveml.pool._uncertainty_sampling").uncertainty_scores
    batch = importlib.import_module("skactiveml.utils").simple_batch
    del module
    return lambda: batch(scores(rows, method="margin_sampling"), random_state=0, batch_size=CHOSEN)


def ratio(
    name: str,
    peer: Callable[[ModuleType, Rows], Callable[[], object]],
    rows: Rows,
    ours: float,
    repeats: int = REPEATS,
) -> float | None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        print(f"SKIPPED {name}: {error}", file=sys.stderr)
        return None
    spent = median_ms(peer(module, rows), repeats)
    report(name, spent)
    return spent / ours


def median_ms(
    call: Callable[[], object],
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    times = []
    for _ in range(repeats + (repeats > 1)):  # the first is to warm up
        began = clock()
        call()
        times.append(clock() - began)
    return 1000 * statistics.median(times[-repeats:])


def peak_mb(call: Callable[[], object]) -> float:
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MEGABYTE


def report(name: str, ms: float, extra: float | None = None) -> None:
    print(f"{name:32} {ms:10.2f} ms" + ("" if extra is None else f"  {extra:8.1f} MB extra"))


if __name__ == "__main__":
    sys.exit(main())
