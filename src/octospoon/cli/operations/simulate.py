"""Replays labelling strategies on images with known labels, with many seeds, beside random choice."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track

from octospoon.cli.deployment import local_project
from octospoon.cli.operations import simulation_report
from octospoon.cli.operations.simulation_report import Report, Wanted
from octospoon.cli.operations.trainer_environment import in_trainer
from octospoon.cli.output import print_json
from octospoon.domain.acquisition import strategy
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.training.evaluation.curves import Curve, compare, verdict
from octospoon.training.simulation import replay

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.datasets.labelled import Source
    from octospoon.training.evaluation.curves import Comparison
    from octospoon.training.simulation import Plan, Score

FEWEST_SEEDS = 2


def simulate(
    source: Source, wanted: Wanted, console: Console, *, as_json: bool = False
) -> dict[str, Comparison]:
    """Replay every strategy with every seed; write the report, print it, and log it if MLflow is set.

    Args:
        source: the labelled images.
        wanted: what to simulate.
        console: where the table goes; progress goes to standard error.
        as_json: print the report as one JSON document instead of a table.

    Raises:
        BadRequest: there are too few images for so many labels, or too few seeds.
        NotConfigured: there is no strategy of that name, or MLflow is set and not installed.
        ServiceUnavailable: MLflow could not be reached; the report is written all the same.
    """
    check_options(wanted)
    check_pool(wanted, len(source.split(0).pool))
    curves = _replay_all(source, wanted)
    control = curves[CONTROL]
    comparisons = {
        name: compare(curve, control, len(curves) - 1) for name, curve in curves.items() if name != CONTROL
    }
    report = Report(source, wanted, curves, comparisons, verdict(comparisons, int(control.labels[-1])))
    simulation_report.write(report)
    if as_json:
        print_json(simulation_report.document(report))
    else:
        _print(report, console)
    run = _log(wanted.folder)
    if run and not as_json:
        console.print(f"logged to MLflow: run {run}", soft_wrap=True, markup=False, highlight=False)
    return comparisons


def _print(report: Report, console: Console) -> None:
    console.print(simulation_report.table(report))
    lines = [*simulation_report.legend(report), *report.source.notes, report.verdict]
    for line in (*lines, f"figures and plot: {report.wanted.folder}"):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def check_options(wanted: Wanted) -> None:
    """Raise BadRequest or NotConfigured for options that are wrong whatever the images are."""
    for name in wanted.strategies:
        strategy(name)
    if not [name for name in wanted.strategies if name != CONTROL]:
        raise BadRequest("name at least one strategy besides random")
    if wanted.seeds < FEWEST_SEEDS:
        raise BadRequest(f"an interval needs at least {FEWEST_SEEDS} seeds")
    rules = wanted.plan.rules
    if rules.audit >= rules.size:
        raise BadRequest(
            f"the audit share takes {rules.audit} of a batch of {rules.size}, and nothing is left to train "
            "on: take a larger --batch or a smaller --audit-share"
        )
    if wanted.folder.exists() and not wanted.folder.is_dir():
        raise BadRequest(f"--out is {wanted.folder}, and that is a file: name a folder")


def check_pool(wanted: Wanted, pool: int) -> None:
    """Raise BadRequest if too few images can be labelled."""
    labels = wanted.plan.labels
    if not labels or labels[-1] > pool:
        raise BadRequest(
            f"the pool holds {pool} images, and the plan labels {labels[-1] if labels else 0}: give --labels "
            f"between --batch and {pool}"
        )


def _replay_all(source: Source, wanted: Wanted) -> dict[str, Curve]:
    names = [CONTROL, *(name for name in dict.fromkeys(wanted.strategies) if name != CONTROL)]
    jobs = [(name, seed) for seed in range(wanted.seeds) for name in names]
    labels = np.array(wanted.plan.labels)
    scores = {name: np.full((wanted.seeds, len(labels), 2), np.nan) for name in names}
    with ProcessPoolExecutor(
        wanted.workers, get_context("spawn"), initializer=_prepare, initargs=(source, wanted.plan)
    ) as others:
        futures = {others.submit(_replay_one, *job): job for job in jobs}
        try:
            done = as_completed(futures)
            console = Console(stderr=True)
            for future in track(done, "Simulating", len(jobs), console=console, transient=True):
                name, seed = futures[future]
                scores[name][seed] = future.result()
        except BaseException:
            others.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: Curve(labels, both[..., 0], both[..., 1]) for name, both in scores.items()}


_shared: list[tuple[Source, Plan]] = []


def _prepare(source: Source, plan: Plan) -> None:
    """Give a process its images, and limit it to one core."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    _shared[:] = [(source, plan)]


def _replay_one(name: str, seed: int) -> list[Score]:
    ((source, plan),) = _shared
    return replay(source.data, source.split(seed), plan, name, seed)


def _log(folder: Path) -> str:
    """Log a report to MLflow if a tracking server is configured; return the run, empty if there is none."""
    project = local_project()
    server = os.environ.get("MLFLOW_TRACKING_URI") or (project.mlflow_url if project else "")
    if not server:
        return ""
    try:
        return in_trainer(["log-simulation", str(folder)], server)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"the report is written, but not logged to MLflow: {error}") from error
