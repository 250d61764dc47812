"""The evaluation of a detector as files: its classes, its precision at each recall, and boxes on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.detection.average_precision import RECALLS, precision_at_recalls
from octospoon.domain.task_types.detection.estimates import DetectionEvaluation
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.domain.task_types.detection.matching import match
from octospoon.domain.task_types.detection.predictions import THRESHOLD, detections
from octospoon.training.report import class_chart, contact_sheet
from octospoon.training.report.contact_sheet import Frame, Tile
from octospoon.training.report.tables import share, shares, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.detection.matching import Matches
    from octospoon.training.evaluation.gate import Judged

TRUE, RIGHT, WRONG = "#ffb300", "#43a047", "#c62828"
"""The colours of true boxes, and of predicted ones that are hits or not."""


def write_evaluation(
    folder: Path, classes: Sequence[str], judged: Judged, labels: npt.NDArray[np.float64]
) -> None:
    """Write ``classes.csv``, ``precision_recall.csv`` and ``evaluation.png``; see `files.write_files`.

    Args:
        folder: an existing folder.
        classes: C class names.
        judged: predictions for N audit images, and their evaluation.
        labels: float64 [N, M, 5], the true boxes.
    """
    measured = judged.evaluation
    if not isinstance(measured, DetectionEvaluation):
        raise TypeError(f"{type(measured).__name__} does not evaluate boxes")
    matches = match(judged.probabilities, labels)
    _write_classes(folder / "classes.csv", classes, measured, matches)
    curves = precision_at_recalls(matches)
    write_table(
        folder / "precision_recall.csv",
        ["recall", *classes],
        (
            [f"{recall:.2f}", *map(share, row)]
            for recall, row in zip(RECALLS.tolist(), curves.T.tolist(), strict=True)
        ),
    )
    _write_plot(folder / "evaluation.png", classes, measured, curves)


def _write_classes(
    path: Path, classes: Sequence[str], measured: DetectionEvaluation, matches: Matches
) -> None:
    shown = matches.classes[matches.scores >= THRESHOLD]
    ends = [f"{name}{end}" for name in ("ap50", "ap50_95", "recall") for end in ("", "_low", "_high")]
    of_classes = zip(
        classes, measured.class_ap50, measured.class_average_precision, measured.recall, strict=True
    )
    write_table(
        path,
        ["class", "audit_objects", "predicted", *ends],
        (
            [
                name,
                int(matches.objects[:, at].sum()),
                int((shown == at).sum()),
                *(cell for estimate in estimates for cell in shares(estimate)),
            ]
            for at, (name, *estimates) in enumerate(of_classes)
        ),
    )


def mistakes(
    classes: Sequence[str],
    images: Sequence[LabelledImage],
    labels: npt.NDArray[np.float64],
    answers: npt.NDArray[np.floating],
) -> list[Tile]:
    """Return tiles of the images with the most missed objects and the surest false boxes.

    Args:
        classes: C class names.
        images: N labelled images.
        labels: float64 [N, M, 5], the true boxes.
        answers: float [N, K, 4 + C], their predictions.
    """
    matches = match(answers, labels)
    shown, hits = matches.scores >= THRESHOLD, matches.hits[:, 0]
    count = len(images)
    missed = matches.objects.sum(axis=1) - np.bincount(matches.images[shown & hits], minlength=count)
    false = np.bincount(matches.images[shown & ~hits], minlength=count)
    loss = missed + np.bincount(matches.images[~hits], matches.scores[~hits], count)
    order = np.argsort(-loss, kind="stable")[: contact_sheet.MOST].tolist()
    return [
        _answered(classes, images[i], labels[i : i + 1], answers[i : i + 1], (int(missed[i]), int(false[i])))
        for i in order
    ]


def _answered(
    classes: Sequence[str],
    image: LabelledImage,
    labels: npt.NDArray[np.float64],
    answers: npt.NDArray[np.floating],
    wrong: tuple[int, int],
) -> Tile:
    """Return the tile of one image: its true boxes, the predicted ones, and how many are missed or false."""
    true = labels[0][labels[0, :, 4] >= 0]
    drawn = detections(answers, THRESHOLD)
    # both are in the order of descending scores, which equal ones keep from the rows of the prediction
    order = np.argsort(-drawn.scores, kind="stable")
    hits = match(answers, labels).hits[: len(order), 0]
    frames = [Frame(_corners(row[:4]), TRUE) for row in true]
    frames += [
        Frame(_corners(drawn.boxes[at]), RIGHT if hit else WRONG)
        for at, hit in zip(order.tolist(), hits.tolist(), strict=True)
    ]
    lines = (
        f"label {_names(classes, true[:, 4])}",
        f"predicted {_names(classes, drawn.classes)}",
        f"{wrong[0]} missed, {wrong[1]} false",
    )
    return Tile(image.key, image.etag, lines, marked=any(wrong), frames=tuple(frames))


def _corners(box: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _names(classes: Sequence[str], labels: npt.NDArray[np.floating] | npt.NDArray[np.int64]) -> str:
    return Boxes().text(tuple(Box(classes[int(label)], 0, 0, 1, 1) for label in labels))


def _write_plot(
    path: Path, classes: Sequence[str], measured: DetectionEvaluation, curves: npt.NDArray[np.float64]
) -> None:
    # the Figure class alone: pyplot would cost a second of import and looks for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    class_chart.draw(
        left, classes, {"AP50": measured.class_ap50, "AP50:95": measured.class_average_precision}
    )
    for name, row in zip(classes, curves, strict=True):
        right.plot(RECALLS, row, label=name)
    right.set(title="Overlap of one half, audit share", xlabel="recall", ylabel="precision")
    right.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    if len(classes) <= class_chart.MOST_NAMES:
        right.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
