"""Decide whether a cheaper form of a backbone may replace it: the rules and the figures they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation import metrics
from octospoon.domain.evaluation.gate import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

FASTER = 0.85
"""Largest ratio to the original's time per image that counts as a gain."""
NO_SLOWER = 1.03
"""Largest ratio to the original's time per image if the gain is in loading."""
LOAD_SAVED = 0.05
"""Seconds of loading time that count as a gain, a tenth of a short cold start."""
SAME_TOP = 0.99
"""Smallest share of the images for which both forms predict the same class."""
SAME_TOP_LOW = 0.98
"""Smallest lower end of that share's 95 % interval; 189 images that all agree reach it."""
COSINE = 0.99
"""Smallest mean cosine of the embeddings."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Outputs of one form of a model for N images, and its costs.

    The runs and loads of the two forms alternate, so that other work on the machine disturbs both alike.

    Attributes:
        embeddings: float32 [N, D].
        probabilities: float32 [N, C], None without a head.
        image: float64 [R], CPU seconds per image on one thread, of R runs.
        load: float64 [L], CPU seconds for loading the file, of L loads.
    """

    embeddings: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    image: npt.NDArray[np.float64]
    load: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cheaper form compared with the original.

    Attributes:
        images: number of images compared.
        image_ratio: median ratio of the times per image.
        load_saved: seconds, the difference of the median loading times.
        cosine: mean cosine of the embeddings; see `centred_cosine`.
        cosine_low: the 5 % quantile of these cosines.
        same_top: number of images for which both predict the same class; None without a head.
        probability_gap: the largest difference of a probability; None without a head.
        right: bool [M], whether the cheaper form is right on each labelled image.
        original_right: bool [M], the same for the original.
    """

    images: int
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
        """The 95 % interval of the share of images for which both predict the same class."""
        return metrics.wilson(self.same_top or 0, self.images)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision about a cheaper form.

    Attributes:
        worth: whether it is worth using.
        reasons: every reason against it, or a sentence about the gain.
    """

    worth: bool
    reasons: tuple[str, ...]


def compare(original: Answers, cheaper: Answers, labels: npt.NDArray[np.int64]) -> Comparison:
    """Compare two forms of a model on the same N images.

    Args:
        original: outputs and costs of the original.
        cheaper: outputs and costs of the cheaper form.
        labels: int64 [N], positions in the class list; -1 for an image without a label.
    """
    cosine = centred_cosine(original.embeddings, cheaper.embeddings)
    same, gap, known = None, None, labels >= 0
    right = original_right = np.zeros(0, np.bool_)
    if original.probabilities is not None and cheaper.probabilities is not None:
        tops = [
            form.probabilities.argmax(axis=1)
            for form in (original, cheaper)
            if form.probabilities is not None
        ]
        same = int(np.sum(tops[0] == tops[1]))
        gap = float(np.abs(original.probabilities - cheaper.probabilities).max())
        original_right, right = (top[known] == labels[known] for top in tops)
    return Comparison(
        images=len(labels),
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
    """Return the cosine of each pair of rows after subtracting the mean row of the first array, float64 [N].

    Without centring, embeddings that share a large constant part would always agree.

    Args:
        a: float [N, D].
        b: float [N, D].
    """
    mean = a.mean(axis=0, dtype=np.float64)
    x, y = a - mean, b - mean
    length = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    equal = (x == y).all(axis=1)  # two rows that are both the mean have no direction
    cosine: npt.NDArray[np.float64] = np.where(
        equal, 1.0, (x * y).sum(axis=1) / np.where(length == 0, 1.0, length)
    )
    return cosine


def judge(comparison: Comparison) -> Verdict:
    """Decide whether the cheaper form is worth it: it must gain time and agree with the original."""
    against = [*_without_gain(comparison), *_disagreement(comparison)]
    if against:
        return Verdict(worth=False, reasons=tuple(against))
    ratio, saved = comparison.image_ratio, 1e3 * comparison.load_saved
    gain = f"{ratio:.2f} of the original's time per image, {saved:+.0f} ms saved in loading"
    return Verdict(worth=True, reasons=(gain,))


def _without_gain(comparison: Comparison) -> list[str]:
    """Return the reason against a form that saves too little time per image and in loading."""
    ratio, saved = comparison.image_ratio, comparison.load_saved
    if ratio <= FASTER or (saved >= LOAD_SAVED and ratio <= NO_SLOWER):
        return []
    return [
        f"no gain: {ratio:.2f} of the original's time per image (at most {FASTER} is a gain), and "
        f"{1e3 * saved:.0f} ms saved in loading (at least {1e3 * LOAD_SAVED:.0f} ms is a gain)"
    ]


def _disagreement(comparison: Comparison) -> list[str]:
    """Return the reasons against a form whose outputs differ too much from the original's."""
    reasons = []
    # "not >=" instead of "<", so that NaN is refused too
    if not comparison.cosine >= COSINE:
        reasons.append(f"the embeddings differ: mean cosine {comparison.cosine:.3f}, below {COSINE}")
    if comparison.same_top is not None:
        share, low = comparison.same_top / comparison.images, comparison.same_top_interval.low
        if share < SAME_TOP or low < SAME_TOP_LOW:
            reasons.append(
                f"the same class for {share:.1%} of {comparison.images} images (95 % interval from "
                f"{low:.1%}); required: {SAME_TOP:.0%} (interval from {SAME_TOP_LOW:.0%})"
            )
    right, original_right = comparison.right, comparison.original_right
    if len(right):
        rules = Rules()
        bound = metrics.paired_difference(right, original_right, rules.standard_errors).high
        if bound < -rules.margin:
            reasons.append(
                f"less accurate: {right.mean():.3f} against {original_right.mean():.3f} "
                f"on {len(right)} audit images"
            )
    return reasons
