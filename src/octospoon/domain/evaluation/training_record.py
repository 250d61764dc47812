"""Record which images a model was trained on, with heads that have not seen some of them.

A served head is trained on every label, so it cannot be measured on any of them. Cross-fitting gives each
audit image to one of K folds and fits one head per fold, on all labels but the audit labels of this fold.
Each audit image is judged by the head of its fold (Chernozhukov et al. 2018, doi 10.1111/ectj.12097). The
estimate is that of a head with slightly fewer labels, so it errs on the careful side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.activation import activated, spread
from octospoon.domain.model_spec import FLOOR, SOFTMAX
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from octospoon.domain.evaluation.audit_boxes import AuditBoxes

FOLDS = 5
EVERY_HEAD = -1
"""The fold of an image that every head was trained on."""
NO_HEAD = -2
"""The fold of an image that no head was trained on."""


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """The images that a model was trained on, and its fold heads.

    Attributes:
        images: uint64 [N], ascending, `image_number` of each image that the model was trained on.
        folds: int8 [N], the fold of each image in [0, FOLDS), or EVERY_HEAD.
        heads: int8 [H], ascending, the fold that each fold head was not trained on.
        weights: float32 [H, D, C], maps embeddings to logits.
        bias: float32 [H, C].
        backbone: uint64 [B], numbers of the images that the backbone itself was fine-tuned on, in this
            version or an earlier one; no head on this backbone can judge them.
        activation: what turns logits into probabilities, one of `octospoon.domain.model_spec.ACTIVATIONS`.
        boxes: what a detector predicts for audit images; None for a model with heads.
    """

    images: npt.NDArray[np.uint64]
    folds: npt.NDArray[np.int8]
    heads: npt.NDArray[np.int8]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    backbone: npt.NDArray[np.uint64]
    activation: str = SOFTMAX
    boxes: AuditBoxes | None = None

    @classmethod
    def of(
        cls,
        images: npt.NDArray[np.uint64],
        folds: npt.NDArray[np.int64],
        heads: dict[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
        shape: tuple[int, int],
        backbone: npt.NDArray[np.uint64],
        activation: str = SOFTMAX,
    ) -> TrainingRecord:
        """Return the record of a model.

        Args:
            images: uint64 [N], in any order.
            folds: int [N], their folds.
            heads: weights float32 [D, C] and bias float32 [C], by fold.
            shape: D and C.
            backbone: uint64 [B], the images that the backbone was fine-tuned on.
            activation: of the heads.
        """
        order, numbers = np.argsort(images, kind="stable"), sorted(heads)
        return cls(
            images[order],
            folds[order].astype(np.int8),
            np.array(numbers, np.int8),
            np.array([heads[fold][0] for fold in numbers], np.float32).reshape(-1, *shape),
            np.array([heads[fold][1] for fold in numbers], np.float32).reshape(-1, shape[1]),
            np.unique(backbone),
            activation,
        )

    def folds_of(self, images: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the fold of each image, int64 [M]: in [0, FOLDS), EVERY_HEAD or NO_HEAD."""
        folds = np.full(len(images), NO_HEAD, np.int64)
        known = np.isin(images, self.images)
        folds[known] = self.folds[np.searchsorted(self.images, images[known])]
        # without the head of its fold, nothing can judge the image
        lost = (folds >= 0) & ~np.isin(folds, self.heads)
        return np.where(lost | np.isin(images, self.backbone), EVERY_HEAD, folds)

    def variance_factor(self, folds: npt.NDArray[np.int64]) -> float:
        """Return how much larger the variance of an estimate is than that of independent labels, at least 1.

        The audit labels of a fold also train the heads of the other folds. For M of N images judged by fold
        heads that were trained on T images each, it is 1 + M² / (N · T): the correction of Nadeau and Bengio
        2003 (Machine Learning 52, eq. 9), for all folds together. It was derived for one random split, and
        is rather too large.

        Args:
            folds: int [N], from `folds_of`, without EVERY_HEAD; N >= 1.
        """
        crossed = int((folds >= 0).sum())
        audit = int((self.folds >= 0).sum())
        trained = len(self.images) - audit / max(1, len(self.heads))
        return 1.0 + crossed**2 / (len(folds) * max(1.0, trained))

    def run(self, fold: int, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [M, C] of the head that has not seen a fold, as a head file does.

        Args:
            fold: one of `heads`.
            embeddings: float [M, D].
        """
        at = int(np.searchsorted(self.heads, fold))
        logits = embeddings.astype(np.float32) @ self.weights[at] + self.bias[at]
        shares = activated(logits, self.activation) * (1 - FLOOR)
        return (shares + spread(self.activation, shares.shape[1])).astype(np.float32)


def image_numbers(images: Iterable[tuple[str, str]]) -> npt.NDArray[np.uint64]:
    """Return the correlation ids of images, by key and ETag, as numbers, uint64 [N]."""
    return np.array([int(image_id(key, etag), 16) for key, etag in images], np.uint64)


def deal(
    images: npt.NDArray[np.uint64],
    labels: npt.NDArray[np.int64],
    audit: npt.NDArray[np.bool_],
    before: TrainingRecord | None,
) -> npt.NDArray[np.int64]:
    """Give each audit image a fold, int64 [N]; all other images have EVERY_HEAD.

    So has an audit image that the backbone was fine-tuned on, because no head could judge it. An image keeps
    the fold that it has in the record of the model in service. Other audit images follow in the order of
    their numbers. Each gets the fold with the fewest images of its class; among these, the one with the
    fewest images; among these, one that its number decides. So the result depends on the images, the labels
    and the record alone.

    Args:
        images: uint64 [N].
        labels: int64 [N], >= 0, the class of each image or another stratum; see `Evaluator.strata`.
        audit: bool [N].
        before: the record of the model in service; None if it has none.
    """
    folds = np.full(len(images), EVERY_HEAD, np.int64)
    known = np.full(len(images), NO_HEAD, np.int64) if before is None else before.folds_of(images)
    if before is not None:
        audit = audit & ~np.isin(images, before.backbone)
    kept = audit & (known >= 0)
    folds[kept] = known[kept]
    counts = np.zeros((int(labels.max(initial=0)) + 1, FOLDS), np.int64)
    np.add.at(counts, (labels[kept], folds[kept]), 1)
    new = np.flatnonzero(audit & ~kept)
    for at in new[np.argsort(images[new], kind="stable")].tolist():
        turn = (np.arange(FOLDS) - int(images[at] % np.uint64(FOLDS))) % FOLDS
        fold = int(np.lexsort((turn, counts.sum(axis=0), counts[labels[at]]))[0])
        folds[at] = fold
        counts[labels[at], fold] += 1
    return folds
