"""When a cheaper form of a backbone may take its place: the rules, and the figures that they look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.domain.evaluation.gate import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

FASTER = 0.85
"""Of the original's time an image, at most."""
NO_SLOWER = 1.03
"""Of the original's time an image, where the gain is in the loading."""
LOAD_SAVED = 0.05
"""Seconds of loading that count as a gain: a tenth of a lean cold start."""
SAME_TOP = 0.99
"""Share of the pictures for which both name the same class."""
SAME_TOP_LOW = 0.98
"""What the lower end of that share's 95 % interval must reach: 189 pictures that all agree do."""
COSINE = 0.99
"""Mean similarity of the embeddings."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one form of a model makes of N pictures, and at what cost.

    Attributes:
        embeddings: float32 [N, D].
        probabilities: float32 [N, C], None without a head.
        image: float64 [R], CPU seconds of a picture on one thread, of R runs that went alternately.
        load: float64 [L], CPU seconds of loading the file, of L loads that went alternately.
    """

    embeddings: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    image: npt.NDArray[np.float64]
    load: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cheaper form beside the original.

    Attributes:
        pictures: how many were looked at.
        image_ratio: median ratio of the time an image.
        load_saved: seconds, the difference of the medians.
        cosine: mean cosine of the embeddings, both less the original's mean embedding.
        cosine_low: the 5 % quantile of the same.
        same_top: pictures for which both name the same class; None without a head.
        probability_gap: the largest difference of a probability; None without a head.
        right: of the labelled pictures, bool [M], where the cheaper form is right.
        original_right: the same of the original.
    """

    pictures: int
    image_ratio: float
    load_saved: float
    cosine: float
    cosine_low: float
    same_top: int | None
    probability_gap: float | None
    right: npt.NDArray[np.bool_]
    original_right: npt.NDArray[np.bool_]

    @property
    def same_top_interval(self) -> metrics.Interval:
        """The 95 % interval of the share of pictures for which both name the same class."""
        return metrics.wilson(self.same_top or 0, self.pictures)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the cheaper form is worth it, and every reason against, or what it gains."""

    worth: bool
    reasons: tuple[str, ...]


def compare(original: Answers, cheaper: Answers, labels: npt.NDArray[np.int64]) -> Comparison:
    """Compare two forms on the same pictures.

    Args:
        original: its answers.
        cheaper: the answers of the other form.
        labels: int64 [N], positions in the class list; -1 where a picture has no label.
    """
    cosine = centred_cosine(original.embeddings, cheaper.embeddings)
    same, gap, known = None, None, labels >= 0
    right = original_right = np.zeros(0, np.bool_)
    if original.probabilities is not None and cheaper.probabilities is not None:
        tops = [
            each.probabilities.argmax(axis=1)
            for each in (original, cheaper)
            if each.probabilities is not None
        ]
        same = int(np.sum(tops[0] == tops[1]))
        gap = float(np.abs(original.probabilities - cheaper.probabilities).max())
        original_right, right = (top[known] == labels[known] for top in tops)
    return Comparison(
        pictures=len(labels),
        image_ratio=float(np.median(cheaper.image / original.image)),
        load_saved=float(np.median(original.load) - np.median(cheaper.load)),
        cosine=float(cosine.mean()),
        cosine_low=float(np.quantile(cosine, 0.05)),
        same_top=same,
        probability_gap=gap,
        right=right,
        original_right=original_right,
    )


def centred_cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the cosine of each row of two float [N, D], both less the mean row of the first: float64 [N].

    Without the centring, embeddings that share a large constant part would always agree.
    """
    mean = a.mean(axis=0, dtype=np.float64)
    x, y = a - mean, b - mean
    length = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    equal = (x == y).all(axis=1)  # two rows that are both the mean have no direction
    found: npt.NDArray[np.float64] = np.where(
        equal, 1.0, (x * y).sum(axis=1) / np.where(length == 0, 1.0, length)
    )
    return found


def judge(found: Comparison) -> Verdict:
    """Say whether the cheaper form is worth it: a gain, and agreement in everything that can be compared."""
    against = [*_without_gain(found), *_disagreement(found)]
    if against:
        return Verdict(worth=False, reasons=tuple(against))
    gain = f"{found.image_ratio:.2f} of the time an image, {1e3 * found.load_saved:+.0f} ms saved in loading"
    return Verdict(worth=True, reasons=(gain,))


def _without_gain(found: Comparison) -> list[str]:
    faster = found.image_ratio <= FASTER
    loads = found.load_saved >= LOAD_SAVED and found.image_ratio <= NO_SLOWER
    if faster or loads:
        return []
    return [
        f"no gain: {found.image_ratio:.2f} of the time an image, not {FASTER} or less, and "
        f"{1e3 * found.load_saved:.0f} ms saved in loading, not {1e3 * LOAD_SAVED:.0f} or more"
    ]


def _disagreement(found: Comparison) -> list[str]:
    reasons = []
    if not found.cosine >= COSINE:
        reasons.append(f"the embeddings differ: mean cosine {found.cosine:.3f}, not {COSINE} or more")
    if found.same_top is not None:
        share, low = found.same_top / found.pictures, found.same_top_interval.low
        if share < SAME_TOP or low < SAME_TOP_LOW:
            reasons.append(
                f"the same class for {share:.1%} of {found.pictures} pictures (95 % interval from {low:.1%}),"
                f" not {SAME_TOP:.0%} or more (from {SAME_TOP_LOW:.0%})"
            )
    if len(found.right):
        gate = Rules()
        bound = metrics.paired_difference(found.right, found.original_right, gate.standard_errors).high
        if bound < -gate.margin:
            reasons.append(
                f"less accurate: {found.right.mean():.3f} against {found.original_right.mean():.3f} "
                f"on {len(found.right)} audit images"
            )
    return reasons
