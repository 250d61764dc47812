"""Compare the time, memory and reads of choosing a batch with numpy and other libraries, in one run.

    python -m bench.select [--json FILE]

Run it as a module: as a script, its name would hide Python's own module. `make peers` installs modAL-python,
scikit-activeml and small-text. A missing library is named and left out, and its ratio is null.

Each time is the median of several runs; scikit-activeml and small-text run once. All get the same float32
probabilities in row-major order, as a model returns them. The time for converting them counts. octospoon uses
one thread for each core, the others use one thread; `_one_thread` is octospoon with one thread. The floor is
the time for reading the same number of bytes once, with as many threads as octospoon. It is the faster of
numpy's sum and max, over arrays that no cache holds.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.rank_reads import by_size
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from octospoon.domain.acquisition import Candidates, strategy
from octospoon.domain.acquisition.least import Gap, least

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]
    Peer = Callable[[ModuleType, Rows], Callable[[], object]]

CLASSES, DIMENSIONS, CHOSEN, REPEATS = 10, 128, 1000, 9
MEGABYTE = 1e6
SLOW_PEERS_UP_TO = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with threadpool_limits(1):
        results = {
            "margin_1e5_1000": margin(100_000),
            "margin_1e6_1000": margin(1_000_000),
            "margin_1e7_1000": margin(10_000_000),
            "margin_diverse_1e5_1000": margin_diverse(100_000),
            "margin_diverse_1e6_1000": margin_diverse(1_000_000),
            "rank_reads": by_size({"1e4": 10_000, "1e5": 100_000, "1e6": 1_000_000}),
            "load_average": list(os.getloadavg()),
        }
    text = json.dumps(results, indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    return 0


def margin(size: int) -> dict[str, float | None]:
    """Compare on one pool. `_class_major` is for arrays in column-major order, for callers that have them."""
    print(f"margin, {CHOSEN:,} of {size:,} x {CLASSES}")
    rows = dirichlet(size)
    ids = range(size)  # ties between equal margins are few: the ids cost nothing here
    select = strategy("margin").select
    pool, turned = Candidates(ids, rows), Candidates(ids, np.asfortranarray(rows))  # type: ignore[arg-type]
    cores = min(os.cpu_count() or 1, size // 100_000)
    floor, one_floor = (
        min(median_ms(floor_of(rows, read, threads)) for read in (np.max, np.sum)) for threads in (cores, 1)
    )
    ours = median_ms(lambda: select(pool, CHOSEN, "s"))
    alone = median_ms(lambda: least(Gap(), rows, CHOSEN, workers=1))
    columns = median_ms(lambda: select(turned, CHOSEN, "s"))
    extra = peak_mb(lambda: select(pool, CHOSEN, "s"))
    partition = median_ms(lambda: argpartition(rows))
    report(f"floor: reading once, {cores} threads", floor)
    report("floor: reading once, one thread", one_floor)
    report("octospoon", ours, extra)
    report("octospoon, one thread", alone)
    report("octospoon, class-major", columns)
    report("numpy partition, float64", partition, peak_mb(lambda: argpartition(rows)))
    return {
        "over_floor": ours / floor,
        "over_floor_class_major": columns / floor,
        "over_floor_one_thread": alone / one_floor,
        "threads": cores,
        "numpy_ratio": partition / ours,
        "modal_ratio": ratio("modAL.uncertainty", modal, rows, ours),
        "skactiveml_ratio": slow_ratio("skactiveml.pool", skactiveml, rows, ours),
        "small_text_ratio": slow_ratio("small_text", small_text, rows, ours),
        "extra_mb": extra,
        "ours_ms": ours,
        "floor_ms": floor,
    }


def margin_diverse(size: int) -> dict[str, float]:
    embeddings = np.random.default_rng(1).standard_normal((size, DIMENSIONS), np.float32)
    pool = Candidates(range(size), dirichlet(size), embeddings)  # type: ignore[arg-type]
    select = strategy("margin_diverse").select
    spent = median_ms(lambda: select(pool, CHOSEN, "s"), clock=time.process_time) / 1000
    extra = peak_mb(lambda: select(pool, CHOSEN, "s"))
    print(f"margin_diverse, {size:,} x {DIMENSIONS}: {spent:.3f} s of CPU, {extra:.0f} MB extra")
    return {"cpu_seconds": spent, "extra_mb": extra}


def dirichlet(size: int) -> Rows:
    rows = np.random.default_rng(0).standard_exponential((size, CLASSES), np.float32)
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def floor_of(rows: Rows, read: Callable[[Rows], object], threads: int) -> Callable[[], object]:
    """Return a function that reads as many bytes as the array has, each time from another place."""
    blocks = max(2, min(8, 400_000_000 // rows.nbytes))
    places = itertools.cycle(np.ones((blocks, rows.size), np.float32))
    if threads == 1:
        return lambda: read(next(places))
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(read, np.array_split(next(places), threads)))


def argpartition(rows: Rows) -> npt.NDArray[np.int64]:
    two = np.partition(rows.astype(np.float64), CLASSES - 2, axis=1)[:, -2:]
    positions: npt.NDArray[np.int64] = np.argpartition(two[:, 1] - two[:, 0], CHOSEN)[:CHOSEN]
    return positions


class Fixed:
    """A classifier for the other libraries, with predictions that exist already."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def predict_proba(self, pool: object, **_: object) -> Rows:
        del pool
        return self.rows


def modal(module: ModuleType, rows: Rows) -> Callable[[], object]:
    return lambda: module.margin_sampling(Fixed(rows), rows, n_instances=CHOSEN)


def skactiveml(module: ModuleType, rows: Rows) -> Callable[[], object]:
    """Return a call of its scores and its choice of a batch, as `query` does for a fitted classifier."""
    scores = importlib.import_module("skactiveml.pool._uncertainty_sampling").uncertainty_scores
    batch = importlib.import_module("skactiveml.utils").simple_batch
    del module
    return lambda: batch(scores(rows, method="margin_sampling"), random_state=0, batch_size=CHOSEN)


def small_text(module: ModuleType, rows: Rows) -> Callable[[], object]:
    """Return a call of BreakingTies for the whole batch, with all rows unlabelled."""
    every, nothing = np.arange(len(rows)), np.empty(0, np.int64)
    query = module.BreakingTies().query
    return lambda: query(Fixed(rows), every, every, nothing, nothing, n=CHOSEN)


def slow_ratio(name: str, peer: Peer, rows: Rows, ours: float) -> float | None:
    if len(rows) > SLOW_PEERS_UP_TO:
        print(f"not run at this size: {name}", file=sys.stderr)
        return None
    return ratio(name, peer, rows, ours, repeats=1)


def ratio(name: str, peer: Peer, rows: Rows, ours: float, repeats: int = REPEATS) -> float | None:
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


def peak_mb(call: Callable[[], Any]) -> float:
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MEGABYTE


def report(name: str, ms: float, extra: float | None = None) -> None:
    print(f"  {name:32} {ms:10.2f} ms" + ("" if extra is None else f"  {extra:8.1f} MB extra"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
