"""Estimate from the labels so far what another batch would gain, and what the strategy gains over random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.batch.class_share import NEW_CLASS
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.batch.drift_share import DRIFT
from octospoon.domain.evaluation import isotonic, metrics, stopping
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.manual import MANUAL
from octospoon.training.head.fit import fit_head

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.training.data.dataset import Dataset

_POINTS = 6
_FEWEST_CONTROL = 10
_PARTS = 4
_OTHERS = (CONTROL, DRIFT, NEW_CLASS, IMPORTED, MANUAL)
"""What chose the labelled images that the strategy did not choose."""


def expectation(
    train: Dataset, audit: Dataset, classes: int, parts: tuple[int, ...] = ()
) -> stopping.Expectation | None:
    """Return the expected gain of one more round; None if there are too few rounds or audit images.

    One head is fitted on the labels up to each of several rounds, without the audit share. All heads are
    evaluated on the whole audit share, which none of them was trained on. The next round counts as large as
    the newest one.

    Args:
        train: the labelled images outside the audit share.
        audit: the audit share.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
    """
    rounds = sorted({image.round_number for image in train.images})
    numbers = np.array([image.round_number for image in train.images])
    if len(rounds) < stopping.FEWEST_POINTS or len(audit) < stopping.FEWEST_IMAGES:
        return None
    kept = [rounds[i] for i in np.unique(np.linspace(0, len(rounds) - 1, _POINTS).round().astype(int))]
    upto = [np.flatnonzero(numbers <= last) for last in kept]
    labels = np.array([len(rows) for rows in upto])
    correct = np.stack([_correct(train, rows, audit, classes, parts) for rows in upto])
    return stopping.expect(labels, correct, int(np.sum(numbers == rounds[-1])))


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
    train: Dataset, audit: Dataset, classes: int, parts: tuple[int, ...] = ()
) -> dict[str, float]:
    """Return metrics that compare the strategy with the control share of each batch; empty without one.

    No head here is trained on an audit label, so no fold is needed. Two heads are fitted on equally many
    labels, oldest first: one on labels of the strategy, one on those of the control. Both are evaluated on
    the audit share. ``control_labels_share`` is the share of its labels that the strategy's head needs for
    the control's accuracy, by a monotone fit. It is infinite if the strategy never reaches that accuracy. It
    is missing if the strategy reaches it but the control's accuracy does not certainly rise, because then a
    number of labels has no meaning.

    Args:
        train: the labelled images outside the audit share.
        audit: the audit share.
        classes: C.
        parts: lengths of the parts of the embedding; see `fit_head`.
    """
    by_age = sorted(range(len(train)), key=lambda i: (train.images[i].round_number, train.images[i].key))
    control = [i for i in by_age if train.images[i].strategy == CONTROL]
    chosen = [i for i in by_age if train.images[i].strategy not in _OTHERS]
    n = min(len(control), len(chosen))
    if n < _FEWEST_CONTROL or len(audit) < stopping.FEWEST_IMAGES:
        return {}
    random = _correct(train, control[:n], audit, classes, parts)
    sizes = np.array([n * (part + 1) // _PARTS for part in range(_PARTS)])
    curve = [_correct(train, chosen[:size], audit, classes, parts) for size in sizes.tolist()]
    lead = metrics.paired_difference(curve[-1], random)
    means = np.array([[np.mean(right) for right in curve]])
    rise = metrics.paired_difference(random, _correct(train, control[: sizes[0]], audit, classes, parts))
    reached = isotonic.last_reached(np.array([random.mean()]), sizes, isotonic.rising(means))
    meaningful = rise.low > 0 or np.isinf(reached[0])
    share = {"control_labels_share": float(reached[0]) / n} if meaningful else {}
    return share | {
        "control_labels": float(n),
        "control_accuracy": float(random.mean()),
        "strategy_accuracy": float(means[0, -1]),
        "strategy_lead_low": lead.low,
        "strategy_lead_high": lead.high,
    }


def _correct(
    train: Dataset,
    rows: Sequence[int] | npt.NDArray[np.int64],
    audit: Dataset,
    classes: int,
    parts: tuple[int, ...],
) -> npt.NDArray[np.bool_]:
    """Return whether a head fitted on some rows of `train` is right on each audit image, bool [N]."""
    fitted = fit_head(train.embeddings[rows], train.labels[rows], classes, parts=parts)
    return np.asarray(fitted.logits(audit.embeddings).argmax(axis=1) == audit.labels)
