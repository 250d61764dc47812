"""Compare the curves of `bench.detection_value`: AP50 by labelled images and by labelled boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Curves = Mapping[str, Sequence[Mapping[str, Any]]]

RANDOM = "random"
LEVEL = 0.95


class Lead(NamedTuple):
    """A mean difference to random in points of AP50, with its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not np.isfinite(self.low):
            return f"{self.mean:+.1f} (one seed, no interval)"
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"

    @property
    def verdict(self) -> str:
        """Whether a lead is shown."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not shown"


def lead(differences: npt.NDArray[np.float64], strategies: int) -> Lead:
    """Return the mean of paired differences with Student's interval, at LEVEL for all strategies together.

    Args:
        differences: float64 [S], one for each seed, as shares.
        strategies: number of intervals that hold together.
    """
    mean = differences.mean()
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else np.inf
    width = stats.t.ppf(1 - (1 - LEVEL) / (2 * strategies), max(1, len(differences) - 1)) * error
    return Lead(*(float(100 * value) for value in (mean, mean - width, mean + width)))


def at_equal_images(strategy: Sequence[Mapping[str, float]], random: Sequence[Mapping[str, float]]) -> float:
    """Return the mean difference in AP50 after the common first round, at equal numbers of images."""
    known = {point["images"]: point["ap50"] for point in random}
    return float(np.mean([point["ap50"] - known[point["images"]] for point in strategy[1:]]))


def at_equal_boxes(strategy: Sequence[Mapping[str, float]], random: Sequence[Mapping[str, float]]) -> float:
    """Return the same at equal numbers of boxes; random's curve is linear between its rounds.

    Raises:
        ValueError: the strategy has more boxes than random ever has.
    """
    boxes, ap50 = ([point[name] for point in random] for name in ("boxes", "ap50"))
    if strategy[-1]["boxes"] > boxes[-1]:
        raise ValueError(f"random has only {boxes[-1]} boxes, and the strategy {strategy[-1]['boxes']}")
    level = [point["ap50"] - np.interp(point["boxes"], boxes, ap50) for point in strategy[1:]]
    return float(np.mean(level))


def tables(curves: Curves) -> Iterator[str]:
    """Yield the lines of a table of leads, and of a table of AP50 and boxes in each round, in Markdown."""
    yield "| set | seeds | strategy | lead at equal images | lead at equal boxes |"
    yield "|---|---|---|---|---|"
    for name, seeds in curves.items():
        strategies = [each for each in seeds[0] if each != RANDOM]
        for strategy in strategies:
            leads = [
                lead(np.array([measure(seed[strategy], seed[RANDOM]) for seed in seeds]), len(strategies))
                for measure in (at_equal_images, at_equal_boxes)
            ]
            cells = [f"{each}, {each.verdict}" for each in leads]
            yield f"| {name} | {len(seeds)} | {strategy} | {' | '.join(cells)} |"
    yield ""
    yield from _rounds(curves)


def _rounds(curves: Curves) -> Iterator[str]:
    most = max(len(points) for seeds in curves.values() for points in seeds[0].values())
    example = next(iter(curves.values()))[0][RANDOM]
    heads = [f"{point['images']} images" for point in example[:most]]
    yield f"| set | strategy | {' | '.join(heads)} |"
    yield "|---|---|" + "---|" * most
    for name, seeds in curves.items():
        for strategy in seeds[0]:
            means = [
                [_mean(seeds, strategy, i, figure) for figure in ("ap50", "boxes")]
                for i in range(len(seeds[0][strategy]))
            ]
            cells = [f"{100 * ap50:.1f} ({boxes:.0f} boxes)" for ap50, boxes in means]
            yield f"| {name} | {strategy} | {' | '.join(cells + [''] * (most - len(cells)))} |"


def _mean(seeds: Sequence[Mapping[str, Any]], strategy: str, i: int, name: str) -> float:
    return float(np.mean([seed[strategy][i][name] for seed in seeds]))


def draw(curves: Curves, path: Path) -> None:
    """Draw mean AP50 by images (left) and by boxes (right), a row for each set.

    Args:
        curves: for each set, the curves of each seed.
        path: the file to write, SVG or PNG by its name.
    """
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "octospoon"
    figure = Figure(figsize=(9, 3.2 * len(curves)), layout="constrained")
    axes = figure.subplots(len(curves), 2, squeeze=False, sharey="row")
    for row, (name, seeds) in zip(axes, curves.items(), strict=True):
        for cell, by in zip(row, ("images", "boxes"), strict=True):
            for style, strategy in zip(("k--", "C0o-", "C1s-", "C2^-"), seeds[0], strict=False):
                places = [_mean(seeds, strategy, i, by) for i in range(len(seeds[0][strategy]))]
                heights = [100 * _mean(seeds, strategy, i, "ap50") for i in range(len(places))]
                cell.plot(places, heights, style, label=strategy, markersize=4)
            cell.set(xlabel=f"labelled {by}", xscale="log", title=f"{name}, {len(seeds)} seeds")
            cell.grid(alpha=0.3)
        row[0].set_ylabel("AP50, %")
    axes[0, 0].legend()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
