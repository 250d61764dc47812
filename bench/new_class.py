"""Compare two running loops to which a class is added, one with `ClassShare` and one without.

    OMP_NUM_THREADS=1 python -m bench.new_class [--seeds 20] [--images FOLDER --model FILE] [--json FILE]

The first two rounds know all classes but one. Annotators skip images of that class, because no choice fits.
The class is added before the third round. Each round chooses a batch with the template's defaults, and the
default trainer fits a head on all labels. Seed by seed, both loops have the same images, first rounds and
random draws. The class of a seed is its number modulo the number of classes.

A class is as frequent in the pool as the others, or a third or a tenth as frequent: the other images of the
class are removed from the pool, at random.

Fixed before the first run, each with a margin of two points and a one-sided 95 % bound (Student, over the
seeds): with `ClassShare`, the accuracy on the other classes is not lower than without it, at any number of
labels. When the added class has its recall, it is not lower than before the class was added. The script fails
if a bound is below the margin.

FOLDER has one folder of images for each class and is used in addition to scikit-learn's digits. The default
is ../shared/data/sign-digits/Dataset, if it exists. FILE is an ONNX file that embeds these images, such as
`octospoon backbone pull scattering+efficientnet-lite0 --to FILE` writes. Digits have the starter backbone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from bench.evaluation import SIGNS
from scipy import stats

from octospoon.cli.datasets import labelled
from octospoon.domain.batch import class_share
from octospoon.domain.batch.compose import CANDIDATES_PER_PICK, BatchRules
from octospoon.domain.batch.limits import Limits
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.training.simulation import Labelled, Table, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import Pick
    from octospoon.domain.monitoring.observations import DriftExample
    from octospoon.training.head.fit import Head

    Positions = npt.NDArray[np.int64]

RULES = BatchRules(50, 0.2, limits=Limits(0.003), class_share=0.2)
STRATEGY = "margin_diverse"
BEFORE, AFTER = 2, 4
RECALL, MARGIN = 0.8, 0.02
FREQUENCIES = {"as frequent as the others": 1.0, "a third as frequent": 1 / 3, "a tenth as frequent": 0.1}
RESAMPLES = 10_000


@dataclass(frozen=True)
class Curve:
    """One loop after each of its rounds since the class was added.

    Attributes:
        recall: of the added class, float [AFTER + 1]; the first is from before it was added.
        others: accuracy on the other classes, the same.
        labels: training labels of the added class, the same.
    """

    recall: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]
    labels: npt.NDArray[np.float64]

    @property
    def _reached(self) -> int:
        """The number of rounds until the recall reached `RECALL`; `AFTER + 1` if it never did."""
        reached = np.flatnonzero(self.recall >= RECALL)
        return int(reached[0]) if len(reached) else AFTER + 1

    @property
    def needed(self) -> int:
        """The number of labels since the class was added until its recall reached `RECALL`.

        If it never did, one batch more than there was.
        """
        return RULES.size * self._reached

    @property
    def others_when_reached(self) -> float:
        """The accuracy on the other classes at that number of labels, or else at the end."""
        return float(self.others[min(self._reached, AFTER)])


class Loop:
    """A loop to which the last class of `data` is added.

    Args:
        data: the images.
        pool: positions that can be chosen.
        held_out: positions on which the heads are measured.
        seed: of every random choice.
    """

    def __init__(self, data: Labelled, pool: Positions, held_out: Positions, seed: int) -> None:
        self._data, self._left, self._held_out, self._seed = data, pool, held_out, seed
        self._names = tuple(str(position) for position in range(data.classes))
        self._history = ClassHistory(self._names[:-1])
        self._train = np.empty(0, np.int64)
        self._answered = np.empty(0, np.int64)
        self._head: Head | None = None
        self._head_names: tuple[str, ...] = ()

    def begin(self) -> None:
        """Run the rounds before the class is added."""
        for number in range(BEFORE):
            self._round(number, RULES)

    def go_on(self, share: float) -> Curve:
        """Add the class and run the other rounds, with this `ClassShare`."""
        measured = [self._measured()]
        self._history = self._history.add(self._names[-1:], 1.0)
        for number in range(BEFORE, BEFORE + AFTER):
            self._round(number, replace(RULES, class_share=share))
            measured.append(self._measured())
        return Curve(*np.array(measured, np.float64).T)

    def _round(self, number: int, rules: BatchRules) -> None:
        seed = f"{self._seed}/{number}"
        table = Table(self._data, self._left, self._head)
        picks = table.batch(rules, STRATEGY, seed, self._promising(table, rules))
        self._left = np.setdiff1d(self._left, _positions(picks))
        self._answered = np.concatenate([self._answered, self._known(_positions(picks))])
        trained = [pick for pick in picks if not pick.audit]
        self._train = np.concatenate([self._train, self._known(_positions(trained))])
        self._head_names = self._history.names
        self._head = fit(replace(self._data, classes=len(self._head_names)), self._train)

    def _known(self, positions: Positions) -> Positions:
        """Return the images that annotators do not skip."""
        known: Positions = positions[self._data.labels[positions] < len(self._history.names)]
        return known

    def _promising(self, table: Table, rules: BatchRules) -> Sequence[DriftExample]:
        """Return the images for the share of added classes, as `rank` does."""
        counts = Counter(self._names[label] for label in self._data.labels[self._train].tolist())
        targets = class_share.sought(self._history, counts)
        if not targets or not rules.new_classes:
            return ()
        answered = Table(self._data, self._answered, self._head).rows
        labelled_rows = () if any(targets.values()) else list(answered.values())
        promising = class_share.examples(
            list(table.rows.values()),
            self._head_names,
            CLASSIFICATION.translation(self._history, self._head_names),
            targets,
            labelled_rows,
        )
        return promising[: CANDIDATES_PER_PICK * rules.new_classes]

    def _measured(self) -> tuple[float, float, float]:
        """Return the recall of the added class, the accuracy on the others, and its training labels."""
        assert self._head is not None
        truth = self._data.labels[self._held_out]
        right = self._head.logits(self._data.embeddings[self._held_out]).argmax(axis=1) == truth
        added = truth == self._data.classes - 1
        trained = self._data.labels[self._train] == self._data.classes - 1
        return float(right[added].mean()), float(right[~added].mean()), float(trained.sum())


def _positions(picks: Sequence[Pick]) -> Positions:
    return np.array([int(pick.key) for pick in picks], np.int64)


def with_last(data: Labelled, name: int) -> Labelled:
    """Return the images with one class behind all others."""
    order = np.array([*(class_ for class_ in range(data.classes) if class_ != name), name])
    return replace(data, labels=np.argsort(order)[data.labels])


def both(source: labelled.Source, frequency: float, seed: int) -> tuple[Curve, Curve]:
    """Return the curves of one seed, with and without `ClassShare`.

    Args:
        source: the images.
        frequency: share of the class's images that stay in the pool, in (0, 1].
        seed: of every random choice.
    """
    data, split = with_last(source.data, seed % source.data.classes), source.split(seed)
    drawn = np.random.default_rng(seed).random(len(data.labels))
    removed = (data.labels == data.classes - 1) & (drawn >= frequency)
    pool = split.pool[~removed[split.pool]]
    loop = Loop(data, pool, split.held_out, seed)
    loop.begin()
    return copy(loop).go_on(RULES.class_share), loop.go_on(0.0)


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % interval of a mean over the seeds (percentile bootstrap)."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def lower_bound(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the one-sided 95 % bound of the mean over the seeds, for float [seeds, K] (Student)."""
    n = len(differences)
    error = differences.std(axis=0, ddof=1) / np.sqrt(n)
    bound: npt.NDArray[np.float64] = differences.mean(axis=0) - stats.t.ppf(0.95, n - 1) * error
    return bound


def compared(pairs: Sequence[tuple[Curve, Curve]]) -> dict[str, Any]:
    """Return the figures of one case, with `ClassShare` first in each pair."""
    arms = ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    needed = [np.array([curve.needed for curve in arm], np.float64) for arm in arms]
    others = [np.stack([curve.others for curve in arm]) for arm in arms]
    recall = [np.stack([curve.recall for curve in arm]) for arm in arms]
    difference = (others[0] - others[1])[:, 1:]
    differences = np.array([curve.others_when_reached - curve.others[0] for curve in arms[0]])
    return {
        "needed": [shown(needs) for needs in needed],
        "saved": shown(needed[1] - needed[0]),
        "never": [int((needs > RULES.size * AFTER).sum()) for needs in needed],
        "recall": [mean_of(arm, "recall") for arm in arms],
        "recall_gain": [interval(gain) for gain in (recall[0] - recall[1]).T],
        "class_labels": [mean_of(arm, "labels") for arm in arms],
        "others": [mean_of(arm, "others") for arm in arms],
        "others_difference": difference.mean(axis=0).tolist(),
        "others_bound": lower_bound(difference).tolist(),
        "others_since_before": float(differences.mean()),
        "others_since_before_bound": float(lower_bound(differences[:, np.newaxis])[0]),
        "not_inferior": bool((lower_bound(difference) > -MARGIN).all()),
        "not_worse_than_before": bool(lower_bound(differences[:, np.newaxis])[0] > -MARGIN),
    }


def mean_of(curves: Sequence[Curve], name: str) -> list[float]:
    """Return the mean over the seeds of one figure, from before the class was added to the last round."""
    means: list[float] = np.stack([getattr(curve, name) for curve in curves]).mean(axis=0).tolist()
    return means


def shown(values: npt.NDArray[np.float64]) -> str:
    """Return a mean with its 95 % interval over the seeds."""
    low, high = interval(values)
    return f"{values.mean():.0f} ({low:.0f} to {high:.0f})"


def report(title: str, figures: dict[str, Any]) -> None:
    """Print the figures of one case, a line for each number of labels."""
    print(f"{title}: labels until the recall is {RECALL:.0%}, means with 95 % intervals")
    for name, needed, never in zip(("with", "without"), figures["needed"], figures["never"], strict=True):
        print(f"  {name:8} ClassShare: {needed}, {never} seeds never reach it")
    print(f"  saved: {figures['saved']}")
    print("  labels | recall with, without, gain | labels of the class | others with, without, bound")
    for i in range(AFTER + 1):
        recall, count, others = (
            [arm[i] for arm in figures[name]] for name in ("recall", "class_labels", "others")
        )
        low, high = (100 * end for end in figures["recall_gain"][i])
        bound = f"{100 * figures['others_bound'][i - 1]:+.2f}" if i else ""
        print(
            f"  {RULES.size * i:6} | {recall[0]:.1%}, {recall[1]:.1%}, {low:+.1f} to {high:+.1f} | "
            f"{count[0]:.1f}, {count[1]:.1f} | {others[0]:.2%}, {others[1]:.2%}, {bound}"
        )
    since, bound = 100 * figures["others_since_before"], 100 * figures["others_since_before_bound"]
    print(
        f"  others when the recall is reached, against before: {since:+.2f}, bound {bound:+.2f}", flush=True
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--images", type=Path, default=SIGNS)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    embedder = labelled.STARTER
    if chosen.model:
        embedder = labelled.Embedder(chosen.model.name, chosen.model.read_bytes())
    sources = {"digits": labelled.of_digits()}
    if chosen.images.is_dir():
        sources[chosen.images.parent.name] = labelled.of_folder(chosen.images, embedder)
    else:
        print(f"SKIPPED: there are no images at {chosen.images}; give a folder with --images")
    results: dict[str, dict[str, Any]] = {}
    for name, source in sources.items():
        for how_frequent, frequency in FREQUENCIES.items():
            with ProcessPoolExecutor(chosen.processes) as processes:
                pairs = list(processes.map(partial(both, source, frequency), range(chosen.seeds)))
            title = f"{name}, {how_frequent}"
            results[title] = compared(pairs)
            report(title, results[title])
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))
    tests = ("not_inferior", "not_worse_than_before")
    failed = [f"{title}: {test}" for title, figures in results.items() for test in tests if not figures[test]]
    print("\n".join(f"FAILED {message}" for message in failed) or "all criteria are met")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
