"""octospoon simulate: is a strategy worth it on these images? Many seeds, beside random labels."""

from __future__ import annotations

import csv
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from rich.progress import track
from rich.table import Table

from octospoon.cli.context import local_project
from octospoon.cli.picture import learning_curves
from octospoon.cli.trainer import in_trainer
from octospoon.domain.acquisition import strategy
from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.selection import CONTROL
from octospoon.training.curves import Comparison, Curve, compare, verdict
from octospoon.training.replay import replay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from octospoon.cli.labelled import Source
    from octospoon.training.replay import Plan

FEWEST_SEEDS = 2


@dataclass(frozen=True)
class Wanted:
    """What to simulate.

    Attributes:
        strategies: names; random is always beside them.
        seeds: number of repetitions, each with its own split and draws.
        plan: the labelling rounds.
        workers: processes; the figures do not depend on it.
        folder: where the report goes.
    """

    strategies: Sequence[str]
    seeds: int
    plan: Plan
    workers: int
    folder: Path


def simulate(source: Source, wanted: Wanted, console: Console) -> dict[str, Comparison]:
    """Replay every strategy with every seed; print the table, write the report, log it where MLflow is set.

    Raises:
        BadRequest: there are too few images for so many labels, or too few seeds.
        NotConfigured: there is no strategy of that name, or MLflow is set and not installed.
        ServiceUnavailable: MLflow could not be reached; the report is written all the same.
    """
    _check(source, wanted)
    curves = _replay_all(source, wanted, console)
    control = curves[CONTROL]
    found = {
        name: compare(curve, control, len(wanted.strategies))
        for name, curve in curves.items()
        if name != CONTROL
    }
    said = verdict(found, int(control.labels[-1]))
    _write(source, wanted, curves, found, said)
    console.print(_table(source, curves, found, wanted))
    legend = (
        f"labels needed: for random's accuracy at {control.labels[-1]} labels (95 % interval); "
        "lead: over random, mean of the whole curve (95 % interval for all strategies together)"
    )
    for line in (legend, *source.notes, said, f"figures and picture: {wanted.folder}"):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    _log(wanted.folder, console)
    return found


def _check(source: Source, wanted: Wanted) -> None:
    for name in wanted.strategies:
        strategy(name)
    if not [name for name in wanted.strategies if name != CONTROL]:
        raise BadRequest("name at least one strategy besides random")
    if wanted.seeds < FEWEST_SEEDS:
        raise BadRequest(f"an interval needs at least {FEWEST_SEEDS} seeds")
    pool, labels = len(source.split(0).pool), wanted.plan.labels
    if not labels or labels[-1] > pool:
        raise BadRequest(
            f"the pool holds {pool} images, and the plan labels {labels[-1] if labels else 0}: give --labels "
            f"between --batch and {pool}"
        )


def _replay_all(source: Source, wanted: Wanted, console: Console) -> dict[str, Curve]:
    names = [CONTROL, *(name for name in dict.fromkeys(wanted.strategies) if name != CONTROL)]
    jobs = [(name, seed) for seed in range(wanted.seeds) for name in names]
    labels = np.array(wanted.plan.labels)
    accuracy = {name: np.full((wanted.seeds, len(labels)), np.nan) for name in names}
    with ProcessPoolExecutor(
        wanted.workers, get_context("spawn"), initializer=_prepare, initargs=(source, wanted.plan)
    ) as others:
        futures = {others.submit(_one, *job): job for job in jobs}
        try:
            for future in track(
                as_completed(futures), "Simulating", len(jobs), console=console, transient=True
            ):
                name, seed = futures[future]
                accuracy[name][seed] = future.result()
        except BaseException:
            others.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: Curve(labels, accuracy[name]) for name in names}


_shared: list[tuple[Source, Plan]] = []


def _prepare(source: Source, plan: Plan) -> None:
    """Give a process its images once, and one core."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    _shared[:] = [(source, plan)]


def _one(name: str, seed: int) -> list[float]:
    ((source, plan),) = _shared
    return replay(source.data, source.split(seed), plan, name, seed)


def _table(source: Source, curves: dict[str, Curve], found: dict[str, Comparison], wanted: Wanted) -> Table:
    labels = curves[CONTROL].labels
    shown = sorted({len(labels) // 4, len(labels) // 2, len(labels) - 1})
    table = Table(title=f"{source.title}: held-out accuracy, {wanted.seeds} seeds")
    table.add_column("strategy", no_wrap=True)
    for at in shown:
        table.add_column(f"{labels[at]} labels", justify="right")
    table.add_column("labels needed", justify="right")
    table.add_column("lead, points", justify="right")
    for name, curve in curves.items():
        intervals = curve.intervals()
        cells = [f"{curve.mean[at]:.1%} ±{100 * (intervals[at].high - curve.mean[at]):.1f}" for at in shown]
        table.add_row(name, *cells, *(_against(found[name]) if name in found else ("100%", "")))
    return table


def _against(one: Comparison) -> tuple[str, str]:
    share = "not reached" if one.labels_share == np.inf else f"{one.labels_share:.0%}"
    low, high = one.labels_interval.low, one.labels_interval.high
    bounds = " to ".join("∞" if bound == np.inf else f"{bound:.0%}" for bound in (low, high))
    lead = (
        f"{100 * one.lead:+.1f} ({100 * one.lead_interval.low:+.1f} to {100 * one.lead_interval.high:+.1f})"
    )
    return f"{share} ({bounds})", lead


def _write(
    source: Source, wanted: Wanted, curves: dict[str, Curve], found: dict[str, Comparison], said: str
) -> None:
    wanted.folder.mkdir(parents=True, exist_ok=True)
    report = {
        "source": source.title,
        "notes": source.notes,
        "images": len(source.data.labels),
        "held_out": len(source.split(0).held_out),
        "seeds": wanted.seeds,
        "batch": wanted.plan.rules.size,
        "audit_share": wanted.plan.rules.audit_share,
        "verdict": said,
        "labels": curves[CONTROL].labels.tolist(),
        "strategies": {
            name: {
                "mean": curve.mean.tolist(),
                "interval": [asdict(one) for one in curve.intervals()],
                "against_random": asdict(found[name]) if name in found else None,
            }
            for name, curve in curves.items()
        },
    }
    (wanted.folder / "simulation.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    with (wanted.folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["strategy", "seed", "labels", "accuracy"])
        for name, curve in curves.items():
            for seed, row in enumerate(curve.accuracy.tolist()):
                writer.writerows([name, seed, n, f"{a:.6f}"] for n, a in zip(curve.labels, row, strict=True))
    learning_curves(curves, source.title, wanted.folder / "curves.png")


def _log(folder: Path, console: Console) -> None:
    """Log a report to MLflow where a tracking server is configured."""
    project = local_project()
    server = os.environ.get("MLFLOW_TRACKING_URI") or (project.mlflow_url if project else "")
    if not server:
        return
    try:
        run = in_trainer(["log-simulation", str(folder)], server)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"the report is written, but not logged to MLflow: {error}") from error
    console.print(f"logged to MLflow: run {run}", soft_wrap=True, markup=False, highlight=False)
