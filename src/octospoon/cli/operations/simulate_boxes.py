"""Replays labelling rounds on images with known boxes, with many seeds, and recommends what to do."""

from __future__ import annotations

import contextlib
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress
from sklearn.model_selection import train_test_split

from octospoon.cli.datasets import boxed
from octospoon.cli.datasets.labelled import HELD_OUT, pool_size
from octospoon.cli.operations import simulation_page
from octospoon.cli.operations.simulate import FEWEST_SEEDS, log
from octospoon.cli.operations.simulation_boxes import BoxReport, BoxSimulation
from octospoon.cli.operations.simulation_tables import tables
from octospoon.cli.operations.simulation_time import announced, estimated
from octospoon.cli.output import print_json
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.detection import DETECTION
from octospoon.training.detector.replay import WAYS, BoxImages, Replay, prepare
from octospoon.training.detector.trainer import LEAST_LABELS
from octospoon.training.model.model_file import extract_backbone, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from octospoon.cli.datasets.boxed import BoxedFiles
    from octospoon.training.detector.replay import Point

    Curves = Mapping[str, Sequence[Point]]

_POLLED = 0.5
"""Seconds between two looks at how many detectors are done."""
_LINES = 20
"""Lines of progress at most, where no bar can be drawn."""


def simulate(
    images: BoxedFiles,
    backbone: tuple[str, bytes],
    simulation: BoxSimulation,
    console: Console,
    *,
    as_json: bool = False,
) -> BoxReport:
    """Replay every strategy with every seed; write the report, print it, and log it if MLflow is set.

    Args:
        images: with their boxes.
        backbone: its name, and a model file that embeds with it.
        simulation: what to simulate.
        console: where the table goes; progress goes to standard error.
        as_json: print the report as one JSON document instead of a table.

    Raises:
        BadRequest: there are too few images for so many labels, too few seeds, or the backbone has no maps.
        ServiceUnavailable: MLflow could not be reached; the report is written all the same.
    """
    check_options(simulation)
    name, model = backbone
    progress = Console(stderr=True)
    with TemporaryDirectory(prefix="octospoon-") as scratch:
        folder = Path(scratch)
        known, pixels, regions = boxed.pixels(images, read_spec(model), folder)
        check_pool(simulation, len(known.files))
        simulation = simulation.on(pool_size(len(known.files)))
        network = extract_backbone(model)
        seconds = estimated(network, pixels, regions, known.truth, simulation)
        progress.print(announced(seconds, len(known.files), simulation), soft_wrap=True, highlight=False)
        with progress.status(f"Computing feature maps of {len(known.files):,} images"):
            made = prepare(network, pixels, regions, known.truth, known.classes, simulation.options, folder)
        seeds = _replayed(made, folder, simulation, progress)
    report = BoxReport(known, name, simulation, seeds, int(np.ceil(HELD_OUT * len(known.files))))
    _publish(report, console, as_json=as_json)
    return report


def _publish(report: BoxReport, console: Console, *, as_json: bool) -> None:
    """Write the report, print it, and log it if MLflow is set."""
    simulation = report.simulation
    report.write()
    simulation_page.write(report.page(), simulation.folder)
    if as_json:
        print_json(report.document())
    else:
        for table in tables(report.figures()):
            console.print(table)
        for line in (*report.notes, report.sentence, f"report: {simulation.folder / 'report.html'}"):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    log(simulation.folder, console, as_json=as_json)


def check_options(simulation: BoxSimulation) -> None:
    """Raise BadRequest for options that are wrong whatever the images are."""
    unknown = [name for name in simulation.strategies if name not in WAYS]
    if unknown or not simulation.strategies:
        names = ", ".join(simulation.strategies)
        raise BadRequest(
            f"--strategies is {names!r}: with boxes it takes {', '.join(WAYS)}, as "
            "ways to add up a detector's doubt; random is always beside them"
        )
    if simulation.seeds < FEWEST_SEEDS:
        raise BadRequest(f"an interval needs at least {FEWEST_SEEDS} seeds")
    stops = simulation.rounds.stops
    if stops[0] < LEAST_LABELS or len(stops) < 2:
        raise BadRequest(
            f"--labels is {','.join(map(str, stops))}: with boxes it takes two numbers or more, from "
            f"{LEAST_LABELS} up, because the first images are random"
        )
    if simulation.target is not None and not 0 < simulation.target < 1:
        raise BadRequest(f"--target is {simulation.target:g}: it is an AP50 between 0 and 1, such as 0.6")
    if simulation.folder.exists() and not simulation.folder.is_dir():
        raise BadRequest(f"--out is {simulation.folder}, and that is a file: name a folder")


def check_pool(simulation: BoxSimulation, images: int) -> None:
    """Raise BadRequest if too few of the images can be labelled."""
    last, pool = simulation.rounds.stops[-1], pool_size(images)
    if last > pool:
        raise BadRequest(
            f"the pool holds {pool} images, and the plan labels {last}: give --labels up to {pool}, or more "
            "images"
        )


@dataclass(frozen=True)
class _Work:
    """What a process needs for its seeds."""

    images: BoxImages
    simulation: BoxSimulation
    folder: Path

    def replayed(self, seed: int) -> dict[str, list[Point]]:
        """Return the curves of a seed, whose images are split anew."""
        strata = DETECTION.evaluator.strata(self.images.truth)
        alone = np.bincount(strata)[strata] < 2
        pool, held_out = train_test_split(
            np.arange(len(strata)),
            test_size=HELD_OUT,
            stratify=np.where(alone, np.bincount(strata).argmax(), strata),
            random_state=seed,
        )
        order = np.random.default_rng(seed).permutation(np.sort(pool))
        done = partial(_count, self.folder / "done")
        simulation, apart = self.simulation, np.sort(held_out)
        replay = Replay(self.images, order, apart, simulation.rounds, simulation.options, seed, done)
        return replay.curves(simulation.strategies)


_shared: list[_Work] = []


def _prepare(work: _Work) -> None:
    """Give a process its images, and limit it to one core."""
    import torch
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    threadpool_limits(1)
    torch.set_num_threads(1)
    _shared[:] = [_Work(work.images.opened(work.folder), work.simulation, work.folder)]


def _replay_one(seed: int) -> dict[str, list[Point]]:
    return _shared[0].replayed(seed)


def _count(file: Path) -> None:
    """Note that a detector is done; processes append to one file."""
    with file.open("ab") as opened:
        opened.write(b".")


def _replayed(images: BoxImages, folder: Path, simulation: BoxSimulation, console: Console) -> list[Curves]:
    """Return the curves of every seed."""
    done = folder / "done"
    done.touch()
    work = _Work(images.closed(), simulation, folder)
    detectors = simulation.seeds * simulation.rounds.detectors(len(simulation.strategies))
    with (
        ProcessPoolExecutor(
            simulation.workers, get_context("spawn"), initializer=_prepare, initargs=(work,)
        ) as others,
        _shown(detectors, console) as show,
    ):
        futures = [others.submit(_replay_one, seed) for seed in range(simulation.seeds)]
        try:
            while wait(futures, timeout=_POLLED).not_done:
                if failed := [future for future in futures if future.done() and future.exception()]:
                    failed[0].result()
                show(done.stat().st_size)
            show(detectors)
            return [future.result() for future in futures]
        except BaseException:
            others.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _shown(detectors: int, console: Console) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows how many detectors are done: as a bar in a terminal, or else in lines."""
    if console.is_terminal:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("Training detectors", total=detectors)
            yield lambda done: bar.update(task, completed=done)
        return
    printed = 0

    def print_line(done: int) -> None:
        nonlocal printed
        if (done - printed) * _LINES >= detectors:
            console.print(f"{done} of {detectors} detectors are trained", highlight=False)
            printed = done

    yield print_line
