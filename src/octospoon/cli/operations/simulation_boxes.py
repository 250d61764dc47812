"""What `octospoon simulate` was asked for with boxes, and the report of what came of it."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.cli.operations.plots import box_curves
from octospoon.cli.operations.simulation_page import Page
from octospoon.cli.operations.simulation_report import compared, curve_document, until
from octospoon.cli.operations.simulation_tables import Figures, labels_needed, mean_cells
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.evaluation.metrics import Interval
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.replay import WAYS, Rounds
from octospoon.training.evaluation.box_curves import leads
from octospoon.training.evaluation.curves import Curve, compare, labels_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.datasets.boxed import BoxedFiles
    from octospoon.training.detector.replay import Point
    from octospoon.training.evaluation.box_curves import Leads
    from octospoon.training.evaluation.curves import Comparison

_OURS, _STRATEGY = WAYS[0], "margin_diverse"
"""The way in which a stack adds up doubts, and its strategy."""


@dataclass(frozen=True)
class BoxSimulation:
    """What to simulate.

    Attributes:
        strategies: some of `WAYS`; random is always beside them.
        seeds: number of repetitions, each with its own split and draws.
        rounds: the numbers of labelled images.
        workers: processes; the figures do not depend on it.
        folder: where the report goes.
        target: an AP50 to reach; None if there is none.
        options: the settings of training.
    """

    strategies: Sequence[str]
    seeds: int
    rounds: Rounds
    workers: int
    folder: Path
    target: float | None = None
    options: DetectorOptions = field(default_factory=DetectorOptions)

    def on(self, pool: int) -> BoxSimulation:
        """Return this for a pool: random images go on to twice as many, so that they have more boxes."""
        last = self.rounds.stops[-1]
        further = (min(2 * last, pool),) if pool > last else ()
        return replace(self, rounds=replace(self.rounds, further=further))

    @property
    def steps(self) -> int:
        """The training steps of one seed."""
        first, *later = map(self._steps, self.rounds.stops)
        return first + sum(later) * (1 + len(self.strategies)) + sum(map(self._steps, self.rounds.further))

    def predicted(self, pool: int, held_out: int) -> int:
        """Return how many images the detectors of one seed predict, to measure them and to choose from."""
        strategies, stops = len(self.strategies), self.rounds.stops
        chosen_from = sum(pool - labelled for labelled in stops[:-1])
        return self.rounds.detectors(strategies) * held_out + strategies * chosen_from

    def _steps(self, images: int) -> int:
        steps_an_epoch = -(-(images - images // 5) // self.options.batch_size)
        return max(self.options.least_steps, self.options.epochs * steps_an_epoch)


@dataclass(frozen=True)
class BoxReport:
    """The outcome of a simulation.

    Attributes:
        images: that were used.
        backbone: its name or file.
        simulation: what was asked for.
        seeds: for each seed the points of every strategy and of random.
        held_out: number of held-out images.
    """

    images: BoxedFiles
    backbone: str
    simulation: BoxSimulation
    seeds: Sequence[Mapping[str, Sequence[Point]]]
    held_out: int

    @cached_property
    def curves(self) -> dict[str, Curve]:
        """AP50 by number of labelled images, random first."""
        stops = np.array(self.simulation.rounds.stops)
        return {
            name: Curve(
                stops,
                np.array([[point.ap50 for point in seed[name][: len(stops)]] for seed in self.seeds]),
                metric="AP50",
            )
            for name in self.seeds[0]
        }

    @cached_property
    def leads(self) -> dict[str, Leads]:
        """The leads of each strategy over random, in points of AP50."""
        return {name: leads(self.seeds, name, CONTROL) for name in self.seeds[0] if name != CONTROL}

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """The comparison of each strategy with random at equal images, over the rounds that it chose."""
        result = {}
        for name, both in self.leads.items():
            made = compare(self.curves[name], self.curves[CONTROL], len(self.leads))
            interval = Interval(both.images.low / 100, both.images.high / 100)
            result[name] = replace(made, lead=both.images.mean / 100, lead_interval=interval)
        return result

    @property
    def strategy(self) -> str:
        """The strategy that is recommended: random, unless the stack's own is shown to be better."""
        ours = self.leads.get(_OURS)
        return _STRATEGY if ours and ours.images.low > 0 else CONTROL

    @property
    def _chosen(self) -> Curve:
        return self.curves[CONTROL if self.strategy == CONTROL else _OURS]

    @property
    def sentence(self) -> str:
        """The recommendation in words."""
        last, seeds, target = self.simulation.rounds.stops[-1], len(self.seeds), self.simulation.target
        if self.strategy == CONTROL:
            reason = "was not simulated" if _OURS not in self.leads else "is not shown to be better"
            text = f"Label at random: {_STRATEGY} {reason} within {last} images and {seeds} seeds"
        else:
            both = self.leads[_OURS]
            text = f"Label with {_STRATEGY}: AP50 is {both.images.mean:.1f} points higher for equal images"
            if both.boxes.low > 0:
                text += f", and {both.boxes.mean:.1f} points for equal boxes"
            else:
                text += ", but this is not shown for equal boxes, so it may cost more work"
        if target is None:
            return f"{text}."
        reached = labels_until(self._chosen, target).labels
        outcome = f"takes about {reached:.0f} images"
        if not np.isfinite(reached):
            outcome = f"is not shown to be reached within {last} images"
        return f"{text}. An AP50 of {target:.4g} {outcome}."

    @property
    def notes(self) -> list[str]:
        """The lines that explain the tables."""
        audit = self.simulation.rounds.audit_share
        lines = [
            f"AP50 is measured on {self.held_out} held-out images, which each seed draws anew",
            "sum, largest, mean: how the doubts about the detections of an image become one; a stack uses "
            f"the sum, with {_STRATEGY}",
            "images needed: the share of images at which a strategy reaches random's AP50 at the last number "
            "of images, on curves smoothed to never fall, with its 95 % interval",
            "lead: the mean difference from random in points of AP50 over the rounds after the first, which "
            "all have in common, with a 95 % interval that holds for all strategies together",
            "a crowded image takes longer to label: so each lead is shown at equal images and at equal "
            "boxes, where random's AP50 between its rounds is a straight line",
            "detectors are trained with the settings that a stack has by default",
        ]
        if audit:
            lines.append(
                f"a strategy chooses all but {audit:.0%} of each later round, because these are the audit "
                "share, which is drawn at random; its detectors learn from all of them, as random's do"
            )
        return [*lines, *self.images.notes]

    def figures(self) -> Iterator[Figures]:
        """Yield the tables: AP50, and how many boxes were labelled for it."""
        stops = self.simulation.rounds.stops
        rows = []
        for name, curve in self.curves.items():
            needed = labels_needed(self.comparisons[name]) if name in self.comparisons else "100%"
            both = [str(lead) for lead in self.leads[name]] if name in self.leads else ["", ""]
            rows.append([name, *mean_cells(curve, stops), needed, *both])
        title = f"{self.images.title}: held-out AP50, {len(self.seeds)} seeds"
        heads = [f"{n} images" for n in stops]
        more = ("images needed", "lead at equal images, points", "lead at equal boxes, points")
        yield Figures(title, ["strategy", *heads, *more], rows)
        boxes = [[name, *(f"{count:,.0f}" for count in self._boxes(name))] for name in self.curves]
        yield Figures("Labelled boxes, means over the seeds", ["strategy", *heads], boxes)

    def _boxes(self, name: str) -> list[float]:
        stops = range(len(self.simulation.rounds.stops))
        return [float(np.mean([seed[name][i].boxes for seed in self.seeds])) for i in stops]

    def page(self) -> Page:
        """Return the page."""
        title = f"Simulated labelling: {self.images.title}"
        alt = "AP50 by number of labelled images and of labelled boxes"
        return Page(title, self.sentence, tuple(self.figures()), alt, tuple(self.notes))

    def document(self) -> dict[str, Any]:
        """Return the figures as one document."""
        target = self.simulation.target
        return {
            "source": self.images.title,
            "backbone": self.backbone,
            "notes": self.notes,
            "images": len(self.images.files),
            "classes": list(self.images.classes),
            "held_out": self.held_out,
            "metric": "AP50",
            "majority_share": 0.0,
            "seeds": len(self.seeds),
            "batch": "",
            "audit_share": self.simulation.rounds.audit_share,
            "verdict": "; ".join(f"{name}: {both.images.verdict}" for name, both in self.leads.items()),
            "recommendation": {
                "strategy": self.strategy,
                "backbone": self.backbone,
                "target": target,
                "labels": None if target is None else until(labels_until(self._chosen, target)),
                "sentence": self.sentence,
            },
            "labels": list(self.simulation.rounds.stops),
            "strategies": {name: self._strategy(name) for name in self.curves},
        }

    def _strategy(self, name: str) -> dict[str, Any]:
        known = {**curve_document(self.curves[name]), "boxes": self._boxes(name), "against_random": None}
        if name in self.leads:
            boxes = asdict(Interval(*(percentage / 100 for percentage in self.leads[name].boxes[1:])))
            known["against_random"] = compared(self.comparisons[name]) | {
                "boxes_lead": self.leads[name].boxes.mean / 100,
                "boxes_interval": boxes,
            }
        return known

    def write(self) -> None:
        """Write the report's files into its folder, but the page."""
        folder = self.simulation.folder
        folder.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.format(msgspec.json.encode(self.document()))
        (folder / "simulation.json").write_bytes(content)
        with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["strategy", "seed", "images", "boxes", "ap50"])
            for number, seed in enumerate(self.seeds):
                for name, points in seed.items():
                    writer.writerows(
                        [name, number, point.images, point.boxes, f"{point.ap50:.6f}"] for point in points
                    )
        title = f"{self.images.title}, {len(self.seeds)} seeds"
        box_curves({title: self.seeds}, folder / "curves.png")
