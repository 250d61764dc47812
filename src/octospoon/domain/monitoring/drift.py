"""Detect drift: test a window of uploads against a reference sample from before the model was trained.

Three tests run, each at a third of the false-alarm rate (Bonferroni). Two are Kolmogorov-Smirnov tests, on
the principal components of the embeddings and on the statistics of the predictions (Rabanser et al. 2019,
arXiv 1810.11953). The third compares the predicted classes (`class_tests`). If any of them rejects, drift is
suspected. Drift is confirmed if maximum mean discrepancy on the components rejects too, or if the window
before was suspected as well.

The statistics of an image are numbers that the task type computes from its prediction alone. Unless
something has changed, they have the same distribution in both samples. So the tests keep their level whatever
the numbers are, and only the choice of changes that show depends on them (Lipton, Wang and Smola 2018, arXiv
1802.03916). The unit is the image and never the box, because the boxes of an image depend on one another.

Why two stages: the three tests are cheap and look at each component and class alone. Maximum mean discrepancy
looks at all components jointly and needs permutations, so it runs only after a suspicion.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.monitoring import class_tests, two_sample_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

COMPONENTS = 16
FALSE_ALARMS = 0.05
"""Largest share of unchanged windows that are suspected; also the level at which discrepancy confirms."""
TESTS = 3
"""Number of first-stage tests. One p-value of at most FALSE_ALARMS / TESTS raises a suspicion."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A sample of the uploads before the model was trained, as the model sees them.

    Attributes:
        centre: float32 [D], the mean embedding.
        axes: float32 [D, K], the principal axes, K <= COMPONENTS.
        components: float32 [N, K], the centred sample projected on these axes.
        statistics: float32 [P, S], of the predictions for P images, which may be fewer; see
            `Evaluator.statistics`. No prediction is of a head or detector that was trained on the image.
    """

    centre: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]
    statistics: npt.NDArray[np.float32]


class Level(StrEnum):
    """The certainty of drift."""

    NONE = "none"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class DriftResult:
    """The test results of one window.

    Each p-value is already corrected for the comparisons within its own test.

    Attributes:
        level: how certain the drift is.
        images: number of images in the window.
        components_p: p-value of the Kolmogorov-Smirnov test on the embeddings' principal components.
        probabilities_p: p-value of the same test on the statistics of the predictions, which are the class
            probabilities or those of boxes.
        classes_p: p-value of the test on the predicted classes.
        discrepancy_p: p-value of maximum mean discrepancy; 1 without a suspicion, because it is not computed.
    """

    level: Level
    images: int
    components_p: float
    probabilities_p: float
    classes_p: float
    discrepancy_p: float = 1.0


def reference(embeddings: npt.NDArray[np.floating], statistics: npt.NDArray[np.floating]) -> Reference:
    """Make the reference for later windows from a sample of uploads.

    Args:
        embeddings: float [N, D], N >= 2.
        statistics: float [P, S], P >= 2, of the predictions.

    Raises:
        ValueError: there are fewer than two images.
    """
    if min(len(embeddings), len(statistics)) < 2:
        raise ValueError(f"a reference needs two images or more, not {embeddings.shape}, {statistics.shape}")
    centre = embeddings.mean(axis=0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(embeddings - centre, full_matrices=False)
    # axes along which the sample does not vary hold rounding noise only
    kept = axes[: min(COMPONENTS, int(np.sum(lengths > 1e-6 * max(lengths[0], 1e-12))))].T
    return Reference(
        centre.astype(np.float32),
        kept.astype(np.float32),
        ((embeddings - centre) @ kept).astype(np.float32),
        statistics.astype(np.float32),
    )


def compare(
    known: Reference,
    embeddings: npt.NDArray[np.floating],
    statistics: npt.NDArray[np.floating],
    classes: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.bool_]],
    *,
    suspected_before: bool = False,
    false_alarms: float = FALSE_ALARMS,
) -> DriftResult:
    """Test one window of M uploads against the reference of the same model.

    Args:
        known: the reference.
        embeddings: float [M, D], M >= 1.
        statistics: float [M, S], of the predictions.
        classes: returns which classes are predicted, bool [M, C]; see `Evaluator.predicted_classes`.
        suspected_before: whether the window before was suspected; then a new suspicion confirms the drift.
        false_alarms: largest share of unchanged windows that may be suspected, in (0, 1).

    Raises:
        ValueError: the window is empty, or its arrays do not have the reference's D and S.
    """
    if not len(embeddings) or embeddings.shape[1:] != known.centre.shape:
        raise ValueError(f"a window of embeddings {embeddings.shape} for a reference of {known.centre.shape}")
    if statistics.shape[1:] != known.statistics.shape[1:]:
        raise ValueError(f"statistics {statistics.shape[1:]}, reference {known.statistics.shape[1:]}")
    components = (embeddings - known.centre) @ known.axes
    p_values = (
        two_sample_tests.kolmogorov_smirnov(known.components, components),
        two_sample_tests.kolmogorov_smirnov(known.statistics, statistics),
        class_tests.class_shift(classes(known.statistics), classes(statistics)),
    )
    if min(p_values) * TESTS > false_alarms:
        return DriftResult(Level.NONE, len(embeddings), *p_values)
    discrepancy = two_sample_tests.maximum_mean_discrepancy(known.components, components)
    # Two suspicions in a row are rare without a change: about false_alarms squared, one window in 400.
    confirmed = discrepancy <= false_alarms or suspected_before
    level = Level.CONFIRMED if confirmed else Level.SUSPECTED
    return DriftResult(level, len(embeddings), *p_values, discrepancy)


def novelty(known: Reference, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return how much more common the appearance of each upload has become, float64 [M].

    This is the witness function of maximum mean discrepancy, see `two_sample_tests.witness`. It is positive
    where the window is denser than the reference. So it is high for a new kind of image, and also for a known
    kind that has become frequent. A distance from the centre of the reference would miss the second.

    Args:
        known: the reference.
        embeddings: float [M, D], those of the window.
    """
    return two_sample_tests.witness(known.components, (embeddings - known.centre) @ known.axes)
