"""Replays labelling rounds on images with known boxes, with many seeds, and recommends what to do."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
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
from octospoon.cli.output import print_json
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.detection import DETECTION
from octospoon.training.detector import features
from octospoon.training.detector.options import CHECKS
from octospoon.training.detector.replay import WAYS, BoxImages, Replay, prepare
from octospoon.training.detector.trainer import LEAST_LABELS, shown
from octospoon.training.model.model_file import extract_backbone, read_spec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.cli.datasets.boxed import BoxedFiles
    from octospoon.domain.pool.framing import Region
    from octospoon.training.detector.replay import Point

    Curves = Mapping[str, Sequence[Point]]

_TRIED = 8
"""Images on which the time is estimated."""
_POLLED = 0.5
"""Seconds between two looks at how many detectors are done."""


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
        seconds = estimated(network, pixels, regions, known, simulation)
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


def estimated(
    backbone: bytes,
    pixels: npt.NDArray[np.uint8],
    regions: Sequence[Region],
    images: BoxedFiles,
    simulation: BoxSimulation,
) -> float:
    """Return the seconds that a simulation will take, from a short training on a few images.

    Args:
        backbone: the ONNX file.
        pixels: uint8 [N, H, W, 3].
        regions: what they show.
        images: N images.
        simulation: what to simulate.
    """
    import torch

    from octospoon.training.detector.loop import train

    truth = images.truth
    rows = np.argsort(-(truth[..., 4] >= 0).sum(axis=1), kind="stable")[:_TRIED]
    targets = [shown(truth[row], regions[row]) for row in rows.tolist()]
    threads = torch.get_num_threads()
    with TemporaryDirectory(prefix="octospoon-") as scratch:
        began = time.monotonic()
        maps = features.compute(backbone, np.array(pixels[rows]), targets, simulation.options, Path(scratch))
        computed, began = time.monotonic() - began, time.monotonic()
        short = msgspec.structs.replace(simulation.options, epochs=1, least_steps=CHECKS, patience=CHECKS)
        learned, held_out = np.split(np.arange(len(rows)), [-1])
        torch.set_num_threads(1)
        try:
            train(maps, learned, held_out, len(images.classes), short, torch.device("cpu"))
        finally:
            torch.set_num_threads(threads)
        step = (time.monotonic() - began) / CHECKS
    waves = -(-simulation.seeds // min(simulation.workers, simulation.seeds))
    return computed * len(images.files) / len(rows) + waves * simulation.steps * step


def announced(seconds: float, images: int, simulation: BoxSimulation) -> str:
    """Return what is about to happen, and about how long it takes."""
    detectors = simulation.seeds * simulation.rounds.detectors(len(simulation.strategies))
    minutes = max(1, round(seconds / 60))
    return (
        f"{detectors} detectors are trained on feature maps of {images:,} images, in {simulation.workers} "
        f"processes: about {minutes} minute{'s' * (minutes > 1)}. Ctrl-C ends it. With fewer --seeds or "
        "--labels it takes less"
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
        Progress(console=console, transient=True) as bar,
    ):
        task = bar.add_task("Training detectors", total=detectors)
        futures = [others.submit(_replay_one, seed) for seed in range(simulation.seeds)]
        try:
            while wait(futures, timeout=_POLLED).not_done:
                if failed := [each for each in futures if each.done() and each.exception()]:
                    failed[0].result()
                bar.update(task, completed=done.stat().st_size)
            return [future.result() for future in futures]
        except BaseException:
            others.shutdown(wait=False, cancel_futures=True)
            raise
