"""The checks of the promotion gate for every task type, their limits, and the answers that they compare.

Each check returns the reasons against a new model, one sentence per reason, and an empty list if it passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec


NO_AUDIT = "no audit label to compare the two models on: label some of the audit share of a batch"


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits that a new model must keep.

    Attributes:
        margin: accuracy that may be lost, as a share.
        standard_errors: number of standard errors by which a loss must exceed its margin to count as shown.
        recall_margin: recall of one class that may be lost, as a share.
        recall_standard_errors: the same number for one class. It is larger because every class is tested, and
            more tests give more false alarms.
        log_loss_margin: increase of the log loss that is allowed, in nats.
        overconfidence: allowed excess of mean confidence over accuracy, as a share, unless the model in
            service exceeds accuracy by as much.
        mistaken: share of the other classes' images that may be predicted as a new class.
        parity: largest allowed difference between the complete file and its two parts.
        most_bytes: largest model file in bytes. It must fit beside the code and memory of the function.
        most_seconds: longest time for one image on one thread.
        slowdown: largest ratio to the time of the model in service, if the time exceeds `unnoticed_seconds`.
        unnoticed_seconds: time for one image that is always allowed, however fast the model in service is.
    """

    margin: float = 0.02
    standard_errors: float = 1.0
    recall_margin: float = 0.1
    recall_standard_errors: float = 2.5
    log_loss_margin: float = 0.1
    overconfidence: float = 0.1
    mistaken: float = 0.5
    parity: float = 1e-4
    most_bytes: int = 400_000_000
    most_seconds: float = 2.0
    slowdown: float = 3.0
    unnoticed_seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Answers:
    """The predictions of one model on the audit images, and its costs.

    Attributes:
        spec: the model's own description.
        probabilities: float [N, C] of the N audit images, or float [N, K, 4 + C] with boxes, the same images
            for both models, each from a head that was not trained on the image; rows of NaN for images
            without such a head, which the gate leaves out. None from a model without a head.
        seconds: time for one image on one thread.
        size: of the model file, in bytes.
        parity_gap: largest difference between the complete file and its two parts.
        served: the same of the served head, which may have been trained on the images; None if it is not
            compared.
    """

    spec: ModelSpec
    probabilities: npt.NDArray[np.floating] | None
    seconds: float
    size: int
    parity_gap: float = 0.0
    served: npt.NDArray[np.floating] | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of the gate.

    Attributes:
        promote: whether the model may go into service.
        reasons: every reason for a refusal; for a promotion, a sentence that explains it.
    """

    promote: bool
    reasons: tuple[str, ...]


def too_costly(challenger: Answers, champion: Answers | None, rules: Rules) -> list[str]:
    """Check that the file is small and fast enough, and that it agrees with the parts it was made of."""
    reasons = []
    # "not <=" instead of ">", so that NaN is refused too
    if not challenger.parity_gap <= rules.parity:
        reasons.append(f"the complete model and its parts differ by {challenger.parity_gap:.2g}")
    if challenger.size > rules.most_bytes:
        reasons.append(f"the model file has {challenger.size:,} bytes, more than {rules.most_bytes:,}")
    allowed = rules.most_seconds
    if champion is not None:
        allowed = min(allowed, max(rules.slowdown * champion.seconds, rules.unnoticed_seconds))
    if challenger.seconds > allowed:
        reasons.append(f"one image takes {challenger.seconds:.3f} s, more than {allowed:.3f} s")
    return reasons


def incomparable(challenger: Answers, champion: Answers) -> list[str]:
    """Check that the champion answered on the same images, and that its classes keep their order."""
    new, old = challenger.spec, champion.spec
    if not old.has_head:
        return []
    reasons = []
    if not _extends(old.classes, new.classes):
        reasons.append(
            f"the classes changed from {', '.join(old.classes)} to {', '.join(new.classes)}: "
            "to start again, put the backbone alone into service"
        )
    if champion.probabilities is None or challenger.probabilities is None:
        reasons.append("the model in service gave no predictions to compare with")
    elif _asked(champion.probabilities) != (len(challenger.probabilities), len(old.classes)):
        reasons.append("the two models did not predict the same images")
    return reasons


def _asked(probabilities: npt.NDArray[np.floating]) -> tuple[int, int]:
    """Return the numbers of images and of classes in float [N, C], or in float [N, K, 4 + C] with boxes."""
    boxes = 4 if probabilities.ndim == 3 else 0
    return len(probabilities), probabilities.shape[-1] - boxes


def shown_mean(values: npt.NDArray[np.floating], rules: Rules) -> float:
    """Return a lower bound of the mean: the mean of float [N] less `standard_errors`; -inf for N < 2."""
    if len(values) < 2:
        return float("-inf")
    error = float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return float(values.mean()) - rules.standard_errors * error


def _extends(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Return True if `new` contains all names of `old` in their order, and perhaps more."""
    return tuple(name for name in new if name in old) == old


def in_classes(
    champion: Answers, classes: tuple[str, ...], corners: int = 0
) -> npt.NDArray[np.floating] | None:
    """Return a model's predictions in the order of another class list; classes it lacks have 0.

    Args:
        champion: the model's answers, float [..., corners + B].
        classes: C class names, among them all B of the model.
        corners: number of columns before those of the classes, which stay.

    Returns:
        float [..., corners + C], or None if the model has no predictions.
    """
    given = champion.probabilities
    if given is None or champion.spec.classes == classes:
        return given
    wide = np.zeros((*given.shape[:-1], corners + len(classes)), given.dtype)
    wide[..., :corners] = given[..., :corners]
    wide[..., [corners + classes.index(name) for name in champion.spec.classes]] = given[..., corners:]
    return wide
