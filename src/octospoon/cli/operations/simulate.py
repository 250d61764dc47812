"""Replays labelling strategies on images with known labels, with many seeds, and recommends what to do."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from octospoon.cli.deployment import local_project
from octospoon.cli.operations import simulation_page, simulation_report, simulation_tables
from octospoon.cli.operations.simulation_result import Report, Simulation
from octospoon.cli.operations.trainer_environment import in_trainer
from octospoon.cli.output import print_json
from octospoon.domain.acquisition import strategy
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.training.evaluation.curves import Curve, compare, verdict
from octospoon.training.evaluation.recommend import (
    choose_backbone,
    choose_batch,
    choose_strategy,
    recommend,
)
from octospoon.training.simulation import Plan, replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from octospoon.cli.datasets.labelled import Source
    from octospoon.training.simulation import Score

FEWEST_SEEDS = 2


def simulate(
    sources: Sequence[Source], simulation: Simulation, console: Console, *, as_json: bool = False
) -> Report:
    """Replay every strategy with every seed; write the report, print it, and log it if MLflow is set.

    The backbones are compared by random labels alone. The strategies are compared on the chosen backbone, and
    the batch sizes with the chosen strategy, if there is one that is better than random.

    Args:
        sources: the labelled images, once for each backbone; the first is kept unless another is better.
        simulation: what to simulate.
        console: where the table goes; progress goes to standard error.
        as_json: print the report as one JSON document instead of a table.

    Raises:
        BadRequest: there are too few images for so many labels, or too few seeds.
        NotConfigured: there is no strategy of that name, or MLflow is set and not installed.
        ServiceUnavailable: MLflow could not be reached; the report is written all the same.
    """
    check_options(simulation)
    check_pool(simulation, len(sources[0].split(0).pool))
    check_same_images(sources)
    with _replays(sources, simulation) as replays:
        report = _report(replays, sources, simulation)
    simulation_report.write(report)
    simulation_page.write(simulation_page.page_of(report), simulation.folder)
    if as_json:
        print_json(simulation_report.document(report))
    else:
        _print(report, console)
    log(simulation.folder, console, as_json=as_json)
    return report


def _report(replays: _Replays, sources: Sequence[Source], simulation: Simulation) -> Report:
    """Simulate in three steps: backbones, then strategies, then batch sizes."""
    plan = simulation.plans[0]
    cases = [Case(i, CONTROL, plan) for i in range(len(sources))]
    names = [source.backbone for source in sources]
    controls = dict(zip(names, replays.curves(cases, "Comparing backbones"), strict=True))
    backbones = choose_backbone(controls)
    place = names.index(backbones.chosen)
    strategies = [name for name in dict.fromkeys(simulation.strategies) if name != CONTROL]
    cases = [Case(place, name, plan) for name in strategies]
    replayed = dict(zip(strategies, replays.curves(cases, "Comparing strategies"), strict=True))
    control = controls[backbones.chosen]
    comparisons = {name: compare(curve, control, len(strategies)) for name, curve in replayed.items()}
    chosen = choose_strategy(comparisons)
    curves = {CONTROL: control, **replayed}
    sized = {plan.rules.size: curves[chosen]}
    if chosen != CONTROL:
        cases = [Case(place, chosen, other) for other in simulation.plans[1:]]
        sizes = [other.rules.size for other in simulation.plans[1:]]
        sized |= zip(sizes, replays.curves(cases, "Comparing batch sizes"), strict=True)
    batches = choose_batch(sized)
    return Report(
        source=sources[place],
        simulation=simulation,
        curves=curves,
        comparisons=comparisons,
        verdict=verdict(comparisons, int(control.labels[-1]), control.metric),
        backbones=backbones,
        controls=controls,
        batches=batches,
        sized=sized,
        recommendation=recommend(
            chosen, backbones.chosen, batches.chosen, sized[batches.chosen], control, simulation.target
        ),
    )


def _print(report: Report, console: Console) -> None:
    for table in simulation_tables.tables(simulation_tables.figures(report)):
        console.print(table)
    lines = [*simulation_tables.legend(report), *report.source.notes, report.verdict]
    for line in (
        *lines,
        report.recommendation.sentence,
        f"report: {report.simulation.folder / 'report.html'}",
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def check_options(simulation: Simulation) -> None:
    """Raise BadRequest or NotConfigured for options that are wrong whatever the images are."""
    for name in simulation.strategies:
        strategy(name)
    if not [name for name in simulation.strategies if name != CONTROL]:
        raise BadRequest("name at least one strategy besides random")
    if simulation.seeds < FEWEST_SEEDS:
        raise BadRequest(f"an interval needs at least {FEWEST_SEEDS} seeds")
    for rules in (plan.rules for plan in simulation.plans):
        if rules.audit >= rules.size:
            raise BadRequest(
                f"the audit share takes {rules.audit} of a batch of {rules.size}, and nothing is left for "
                "the strategy: take a larger --batch or a smaller --audit-share"
            )
    if simulation.target is not None and not 0 < simulation.target < 1:
        raise BadRequest(f"--target is {simulation.target:g}: it is an accuracy between 0 and 1, such as 0.9")
    if simulation.folder.exists() and not simulation.folder.is_dir():
        raise BadRequest(f"--out is {simulation.folder}, and that is a file: name a folder")


def check_pool(simulation: Simulation, pool: int) -> None:
    """Raise BadRequest if too few images can be labelled."""
    labels = simulation.plans[0].labels
    if not labels or labels[-1] > pool:
        raise BadRequest(
            f"the pool holds {pool} images, and the plan labels {labels[-1] if labels else 0}: give --labels "
            f"between --batch and {pool}"
        )


def check_same_images(sources: Sequence[Source]) -> None:
    """Raise BadRequest if the sources do not hold the same labels in the same order."""
    for source in sources[1:]:
        if not np.array_equal(source.data.labels, sources[0].data.labels):
            raise BadRequest(
                f"{source.backbone} and {sources[0].backbone} read different images of the folder, so they "
                "cannot be compared: remove the images that cannot be read"
            )


class Case(NamedTuple):
    """What is replayed with every seed.

    Attributes:
        place: of the source.
        name: of the strategy.
        plan: the rounds.
    """

    place: int
    name: str
    plan: Plan


@dataclass(frozen=True)
class _Replays:
    """Runs replays in other processes."""

    processes: ProcessPoolExecutor
    seeds: int
    metric: str

    def curves(self, cases: Sequence[Case], title: str) -> list[Curve]:
        """Return the curve of each case over all seeds."""
        jobs = [(i, seed) for seed in range(self.seeds) for i in range(len(cases))]
        scores = [np.full((self.seeds, len(case.plan.labels), 2), np.nan) for case in cases]
        futures = {self.processes.submit(_replay_one, cases[i], seed): (i, seed) for i, seed in jobs}
        done = as_completed(futures)
        for future in track(done, title, len(jobs), console=Console(stderr=True), transient=True):
            i, seed = futures[future]
            scores[i][seed] = future.result()
        return [
            Curve(
                np.array(case.plan.labels),
                both[..., 0],
                None if np.isnan(both[..., 1]).all() else both[..., 1],
                self.metric,
            )
            for case, both in zip(cases, scores, strict=True)
        ]


@contextmanager
def _replays(sources: Sequence[Source], simulation: Simulation) -> Iterator[_Replays]:
    with ProcessPoolExecutor(
        simulation.workers, get_context("spawn"), initializer=_prepare, initargs=(sources,)
    ) as others:
        try:
            yield _Replays(others, simulation.seeds, sources[0].data.task.evaluator.metric_title)
        except BaseException:
            others.shutdown(wait=False, cancel_futures=True)
            raise


_shared: list[Source] = []


def _prepare(sources: Sequence[Source]) -> None:
    """Give a process its images, and limit it to one core."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    _shared[:] = sources


def _replay_one(case: Case, seed: int) -> list[Score]:
    source = _shared[case.place]
    return replay(source.data, source.split(seed), case.plan, case.name, seed)


def log(folder: Path, console: Console, *, as_json: bool) -> None:
    """Log a report to MLflow if a tracking server is configured, and say so unless output is JSON.

    Raises:
        NotConfigured: MLflow is not installed.
        ServiceUnavailable: the server could not be reached.
    """
    project = local_project()
    server = os.environ.get("MLFLOW_TRACKING_URI") or (project.mlflow_url if project else "")
    if not server:
        return
    try:
        run = in_trainer(["log-simulation", str(folder)], server)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"the report is written, but not logged to MLflow: {error}") from error
    if not as_json:
        console.print(f"logged to MLflow: run {run}", soft_wrap=True, markup=False, highlight=False)
