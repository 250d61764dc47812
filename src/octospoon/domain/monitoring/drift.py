"""Has what comes in changed since the model was trained? Tests of a window of uploads against a reference.

Three tests, each at a third of the false-alarm rate (Bonferroni): Kolmogorov and Smirnov's on the principal
components of the embeddings and on the class probabilities (Rabanser et al. 2019, arXiv 1810.11953), and
chi-squared on the predicted classes. Whatever they find is confirmed by maximum mean discrepancy on the
components, or by being found in the next window again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.monitoring import two_sample_tests

if TYPE_CHECKING:
    import numpy.typing as npt

COMPONENTS = 16
FALSE_ALARMS = 0.05
"""The share of windows that may be suspected where nothing has changed; discrepancy confirms at it."""
TESTS = 3
"""What is suspected is below FALSE_ALARMS / TESTS by one of these tests."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A sample of what was uploaded until the model was trained, as the model saw it.

    Attributes:
        centre: float32 [D], the mean embedding.
        axes: float32 [D, K], the principal axes, K at most COMPONENTS.
        components: float32 [N, K], the sample on these axes.
        probabilities: float32 [N, C], by the model, or by one that had not seen the image.
    """

    centre: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]
    components: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]


class Level(StrEnum):
    """How sure it is that the uploads have changed."""

    NONE = "none"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class DriftResult:
    """What the tests say of one window: p-values, each already corrected for its own number of comparisons.

    Attributes:
        level: the verdict.
        images: size of the window.
        components_p: of Kolmogorov and Smirnov's test on the embeddings' principal components.
        probabilities_p: of the same test on the class probabilities.
        classes_p: of chi-squared on the predicted classes.
        discrepancy_p: of maximum mean discrepancy; 1 where nothing was suspected, since it was not asked.
    """

    level: Level
    images: int
    components_p: float
    probabilities_p: float
    classes_p: float
    discrepancy_p: float = 1.0


def reference(embeddings: npt.NDArray[np.floating], probabilities: npt.NDArray[np.floating]) -> Reference:
    """Return what later windows are compared with, of a sample float [N, D] and float [N, C].

    Raises:
        ValueError: fewer than two images, or arrays of different lengths.
    """
    if len(embeddings) < 2 or len(embeddings) != len(probabilities):
        raise ValueError(
            f"a reference needs two images or more, not {embeddings.shape}, {probabilities.shape}"
        )
    centre = embeddings.mean(axis=0, dtype=np.float64)
    _, lengths, axes = np.linalg.svd(embeddings - centre, full_matrices=False)
    kept = axes[: min(COMPONENTS, int(np.sum(lengths > 1e-6 * max(lengths[0], 1e-12))))].T
    return Reference(
        centre.astype(np.float32),
        kept.astype(np.float32),
        ((embeddings - centre) @ kept).astype(np.float32),
        probabilities.astype(np.float32),
    )


def compare(
    known: Reference,
    embeddings: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.floating],
    *,
    suspected_before: bool = False,
    false_alarms: float = FALSE_ALARMS,
) -> DriftResult:
    """Test one window of uploads, float [M, D] and float [M, C], by the same model as the reference.

    Args:
        known: the reference.
        embeddings: of the window.
        probabilities: of the window.
        suspected_before: the window before this one was suspect as well: what is found again is confirmed.
        false_alarms: the share of windows that may be suspected where nothing has changed, in (0, 1).

    Raises:
        ValueError: the window is empty, or made by a model of other sizes.
    """
    if not len(embeddings) or embeddings.shape[1:] != known.centre.shape:
        raise ValueError(f"a window of embeddings {embeddings.shape} for a reference of {known.centre.shape}")
    if probabilities.shape[1:] != known.probabilities.shape[1:]:
        raise ValueError(
            f"{probabilities.shape[1:]} classes for a reference of {known.probabilities.shape[1:]}"
        )
    components = (embeddings - known.centre) @ known.axes
    found = (
        two_sample_tests.kolmogorov_smirnov(known.components, components),
        two_sample_tests.kolmogorov_smirnov(known.probabilities, probabilities),
        two_sample_tests.chi_squared(_predicted(known.probabilities), _predicted(probabilities)),
    )
    if min(found) * TESTS > false_alarms:
        return DriftResult(Level.NONE, len(embeddings), *found)
    discrepancy = two_sample_tests.maximum_mean_discrepancy(known.components, components)
    sure = discrepancy <= false_alarms or suspected_before
    level = Level.CONFIRMED if sure else Level.SUSPECTED
    return DriftResult(level, len(embeddings), *found, discrepancy)


def novelty(known: Reference, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return by how much more common what each upload looks like has become, float64 [M] of float [M, D].

    The witness function of the maximum mean discrepancy that confirms drift, see `hypothesis_tests.witness`:
    positive where the window is denser than the reference. So it names a new kind of picture as well as one
    that was always there and now is most of them, which no distance from the reference's middle does.
    """
    return two_sample_tests.witness(known.components, (embeddings - known.centre) @ known.axes)


def _predicted(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return how often each class is the most probable, int64 [C], of float [N, C]."""
    return np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
