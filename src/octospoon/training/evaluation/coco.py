"""Measure average precision with faster-coco-eval, the library that others use for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.task_types.detection.predictions import detections

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.task_types.detection.estimates import DetectionEvaluation

_AGREED = 1e-9
_WHOLE_IMAGE = [0.0, 2.0]
"""All areas, as shares of the image."""
_MOST = 100
"""The most detections of a class in an image that COCO's evaluation counts."""


def average_precision(
    predictions: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the average precision of each class, float64 [C, T]; NaN for a class without objects.

    Args:
        predictions: float [N, K, 4 + C], N >= 1, K <= 100.
        targets: float64 [N, M, 5].
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_data_set(predictions, targets), print_function=_silent)
    evaluation = COCOeval_faster(
        truth, truth.loadRes(_results(predictions)), "bbox", print_function=_silent, separate_eval=True
    )
    evaluation.params.maxDets = [_MOST]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [_WHOLE_IMAGE], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[..., 0, 0]  # by threshold, recall and class
    known: npt.NDArray[np.float64] = np.where(precision < 0, np.nan, precision).mean(axis=1).T
    return known


def check(
    evaluation: DetectionEvaluation,
    predictions: npt.NDArray[np.floating],
    targets: npt.NDArray[np.float64],
) -> None:
    """Check that our average precision, which has intervals, is that of the library.

    Args:
        evaluation: of these predictions.
        predictions: float [N, K, 4 + C]; without images, or with numbers that are not finite, nothing is
            compared.
        targets: float64 [N, M, 5].

    Raises:
        BadModel: they differ.
    """
    if not len(targets) or not np.isfinite(predictions).all():
        return
    of_classes = average_precision(predictions, targets)
    ours = [estimate.value for estimate in evaluation.class_ap50]
    whole = [estimate.value for estimate in evaluation.class_average_precision]
    theirs = np.column_stack([of_classes[:, 0], of_classes.mean(axis=1)])
    if not np.allclose(np.column_stack([ours, whole]), theirs, rtol=0, atol=_AGREED, equal_nan=True):
        raise BadModel(
            f"AP50 of the classes is {np.round(ours, 6).tolist()} by octospoon and "
            f"{np.round(theirs[:, 0], 6).tolist()} by faster-coco-eval: please report this as a bug"
        )


def _silent(*_: object) -> None:
    """Print nothing."""


def _data_set(predictions: npt.NDArray[np.floating], targets: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the true boxes as COCO's data set; numbers begin with 1, because 0 means no match there."""
    images, rows = np.nonzero(targets[..., 4] >= 0)
    annotations = [
        {"id": number, "iscrowd": 0, "area": (x2 - x1) * (y2 - y1)} | _box(image, label, (x1, y1, x2, y2))
        for number, (image, (x1, y1, x2, y2, label)) in enumerate(
            zip(images.tolist(), targets[images, rows].tolist(), strict=True), 1
        )
    ]
    return {
        "images": [{"id": image + 1} for image in range(len(targets))],
        "categories": [{"id": at + 1, "name": str(at)} for at in range(predictions.shape[2] - 4)],
        "annotations": annotations,
    }


def _results(predictions: npt.NDArray[np.floating]) -> list[dict[str, Any]]:
    """Return the detections as COCO's results."""
    given = detections(predictions)
    columns = (part.tolist() for part in (given.images, given.classes, given.boxes, given.scores))
    return [
        _box(image, label, box) | {"score": score} for image, label, box, score in zip(*columns, strict=True)
    ]


def _box(image: int, label: float, box: tuple[float, ...]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"image_id": image + 1, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
