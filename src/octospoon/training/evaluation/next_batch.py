"""Estimate from the labels so far what another batch would gain, and what the strategy gains over random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.class_share import NEW_CLASS
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.batch.drift_share import DRIFT
from octospoon.domain.evaluation import isotonic, stopping
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.manual import MANUAL
from octospoon.domain.model_spec import SOFTMAX
from octospoon.training.head.fit import fit_head
from octospoon.training.head.task_types import HEAD_TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.training.data.dataset import Dataset
    from octospoon.training.head.task_types import HeadTask

_POINTS = 6
_FEWEST_CONTROL = 10
_PARTS = 4
_OTHERS = (CONTROL, DRIFT, NEW_CLASS, IMPORTED, MANUAL)
"""What chose the labelled images that the strategy did not choose."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of the next round, and what the strategy gained so far.

    Attributes:
        next_batch: the expected gain of one more round; None without an estimate.
        metrics: those of `gain` and `against_control`.
    """

    next_batch: stopping.Expectation | None
    metrics: dict[str, float]


def outlook(train: Dataset, audit: Dataset, classes: int, parts: tuple[int, ...], activation: str) -> Outlook:
    """Return the outlook, from heads on embeddings; empty for labels that no head can learn.

    Args:
        train: the labelled images outside the audit share.
        audit: the audit share.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
        activation: of the task type.
    """
    if activation not in HEAD_TASKS:
        return Outlook(None, {})
    next_batch = expectation(train, audit, classes, parts, activation)
    return Outlook(next_batch, gain(next_batch) | against_control(train, audit, classes, parts, activation))


def expectation(
    train: Dataset, audit: Dataset, classes: int, parts: tuple[int, ...] = (), activation: str = SOFTMAX
) -> stopping.Expectation | None:
    """Return the expected gain of one more round; None if there are too few rounds or audit images.

    One head is fitted on the labels up to each of several rounds, without the audit share. All heads are
    evaluated on the whole audit share, which none of them was trained on. The next round counts as large as
    the newest one. Images that a person chose train every head and make no round: the gain is that of a round
    of the strategy.

    Args:
        train: the labelled images outside the audit share.
        audit: the audit share.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
        activation: see `fit_head`.
    """
    numbers = np.array([image.round_number for image in train.images])
    by_hand = np.array([image.strategy == MANUAL for image in train.images], np.bool_)
    rounds = np.unique(numbers[~by_hand]).tolist()
    if len(rounds) < stopping.FEWEST_POINTS or len(audit) < stopping.FEWEST_IMAGES:
        return None
    kept = [rounds[i] for i in np.unique(np.linspace(0, len(rounds) - 1, _POINTS).round().astype(int))]
    upto = [np.flatnonzero((numbers <= last) | by_hand) for last in kept]
    labels = np.array([len(rows) for rows in upto])
    answers = [_answers(train, rows, audit, classes, parts, activation) for rows in upto]
    task = HEAD_TASKS[activation]
    errors = task.errors(answers, audit.labels)
    expected = stopping.expect(labels, errors, int(np.sum((numbers == rounds[-1]) & ~by_hand)))
    return replace(expected, metric=task.evaluator.metric_title)


def gain(next_batch: stopping.Expectation | None) -> dict[str, float]:
    """Return the expected gain of one more round as metrics; empty if there is no estimate."""
    if next_batch is None:
        return {}
    return {
        "next_batch_gain": next_batch.gain,
        "next_batch_gain_low": next_batch.interval.low,
        "next_batch_gain_high": next_batch.interval.high,
    }


def against_control(
    train: Dataset, audit: Dataset, classes: int, parts: tuple[int, ...] = (), activation: str = SOFTMAX
) -> dict[str, float]:
    """Return metrics that compare the strategy with the control share of each batch; empty without one.

    No head here is trained on an audit label, so no fold is needed. Two heads are fitted on equally many
    labels, oldest first: one on labels of the strategy, one on those of the control. Both are evaluated on
    the audit share, by accuracy or by macro F1. ``control_labels_share`` is the share of its labels that the
    strategy's head needs for the control's figure, by a monotone fit. It is infinite if the strategy never
    reaches that figure. It is missing if the strategy reaches it but the control's figure does not certainly
    rise, because then a number of labels has no meaning.

    Args:
        train: the labelled images outside the audit share.
        audit: the audit share.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
        activation: see `fit_head`.
    """
    by_age = sorted(range(len(train)), key=lambda i: (train.images[i].round_number, train.images[i].key))
    control = [i for i in by_age if train.images[i].strategy == CONTROL]
    chosen = [i for i in by_age if train.images[i].strategy not in _OTHERS]
    n = min(len(control), len(chosen))
    if n < _FEWEST_CONTROL or len(audit) < stopping.FEWEST_IMAGES:
        return {}
    sizes = np.array([n * (part + 1) // _PARTS for part in range(_PARTS)])

    def answers(rows: list[int]) -> npt.NDArray[np.float64]:
        return _answers(train, rows, audit, classes, parts, activation)

    curve = [answers(chosen[:size]) for size in sizes.tolist()]
    ends = answers(control[: sizes[0]]), answers(control[:n])
    return _compared(curve, ends, sizes, audit.labels, HEAD_TASKS[activation])


def _compared(
    curve: Sequence[npt.NDArray[np.float64]],
    control: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    sizes: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    task: HeadTask,
) -> dict[str, float]:
    """Return the metrics of `against_control`.

    Args:
        curve: float64 [N, C] each, the audit images' probabilities from heads on labels of the strategy.
        control: the same from two heads on labels of the control, the first and the last of `sizes`.
        sizes: int64 [R], ascending, the number of labels of each head of the curve.
        labels: targets of the audit images.
        task: how heads are compared.
    """
    first, random = control
    metric, name, n = task.evaluator.metric, task.evaluator.metric_name, int(sizes[-1])
    level, means = (
        metric(random, labels),
        np.array([[metric(probabilities, labels) for probabilities in curve]]),
    )
    lead, rise = task.lead(curve[-1], random, labels), task.lead(random, first, labels)
    reached = isotonic.last_reached(np.array([level]), sizes, isotonic.rising(means))
    meaningful = rise.low > 0 or np.isinf(reached[0])
    share = {"control_labels_share": float(reached[0]) / n} if meaningful else {}
    return share | {
        "control_labels": float(n),
        f"control_{name}": level,
        f"strategy_{name}": float(means[0, -1]),
        "strategy_lead_low": lead.low,
        "strategy_lead_high": lead.high,
    }


def _answers(
    train: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64],
    audit: Dataset,
    classes: int,
    parts: tuple[int, ...],
    activation: str,
) -> npt.NDArray[np.float64]:
    """Return the audit images' probabilities, float64 [N, C], of a head fitted on some rows of `train`."""
    fitted = fit_head(train.embeddings[rows], train.labels[rows], classes, activation=activation, parts=parts)
    return fitted.probabilities(audit.embeddings)
