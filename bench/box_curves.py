"""Show the curves of `bench.detection_value` as tables: AP50 by labelled images and by labelled boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.compose import CONTROL
from octospoon.training.evaluation.box_curves import leads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.training.detector.replay import Point

    Curves = Mapping[str, Sequence[Mapping[str, Sequence[Point]]]]


def tables(curves: Curves) -> Iterator[str]:
    """Yield the lines of a table of leads, and of a table of AP50 and boxes in each round, in Markdown."""
    yield "| set | seeds | strategy | lead at equal images | lead at equal boxes |"
    yield "|---|---|---|---|---|"
    for name, seeds in curves.items():
        for strategy in (each for each in seeds[0] if each != CONTROL):
            cells = [f"{each}, {each.verdict}" for each in leads(seeds, strategy, CONTROL)]
            yield f"| {name} | {len(seeds)} | {strategy} | {' | '.join(cells)} |"
    yield ""
    yield from _rounds(curves)


def _rounds(curves: Curves) -> Iterator[str]:
    most = max(len(points) for seeds in curves.values() for points in seeds[0].values())
    example = next(iter(curves.values()))[0][CONTROL]
    heads = [f"{point.images} images" for point in example[:most]]
    yield f"| set | strategy | {' | '.join(heads)} |"
    yield "|---|---|" + "---|" * most
    for name, seeds in curves.items():
        for strategy in seeds[0]:
            rounds = [[seed[strategy][i] for seed in seeds] for i in range(len(seeds[0][strategy]))]
            cells = [
                f"{100 * np.mean([each.ap50 for each in points]):.1f} "
                f"({np.mean([each.boxes for each in points]):.0f} boxes)"
                for points in rounds
            ]
            yield f"| {name} | {strategy} | {' | '.join(cells + [''] * (most - len(cells)))} |"
