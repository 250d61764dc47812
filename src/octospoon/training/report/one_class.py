"""The evaluation of a classifier as files: its confusions, its classes and its reliability."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.classification import metrics
from octospoon.training.report import contact_sheet
from octospoon.training.report.contact_sheet import Tile
from octospoon.training.report.tables import share, shares, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged

_MANY_CLASSES = 20


def write_evaluation(
    folder: Path, classes: Sequence[str], judged: Judged, labels: npt.NDArray[np.int64]
) -> None:
    """Write ``confusion.json``, ``classes.csv`` and ``evaluation.png``; see `files.write_files`.

    Args:
        folder: an existing folder.
        classes: C class names.
        judged: predictions for N audit images, and their evaluation.
        labels: int [N], positions in `classes`.
    """
    matrix = metrics.confusion(judged.probabilities, labels)
    (folder / "confusion.json").write_text(
        json.dumps({"classes": list(classes), "rows_true_columns_predicted": matrix.tolist()}), "utf-8"
    )
    _write_classes(folder / "classes.csv", classes, judged.evaluation, matrix)
    bins = metrics.reliability(judged.probabilities, labels)
    _write_plot(folder / "evaluation.png", classes, matrix, bins)


def _write_classes(
    path: Path, classes: Sequence[str], measured: Evaluation, matrix: npt.NDArray[np.int64]
) -> None:
    write_table(
        path,
        ["class", "audit_labels", "recall", "recall_low", "recall_high", "precision"],
        (
            [name, recall.labels, *shares(recall), share(float(right))]
            for name, recall, right in zip(classes, measured.recall, metrics.precision(matrix), strict=True)
        ),
    )


def _write_plot(
    path: Path, classes: Sequence[str], matrix: npt.NDArray[np.int64], bins: metrics.Reliability
) -> None:
    # the Figure class alone: pyplot would cost a second of import and looks for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_confusion(left, classes, matrix)
    _draw_reliability(right, bins)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_confusion(axes: Axes, classes: Sequence[str], matrix: npt.NDArray[np.int64]) -> None:
    axes.imshow(matrix, cmap="Blues")
    axes.set(title="Confusion matrix, audit share", xlabel="predicted", ylabel="true")
    if len(classes) > _MANY_CLASSES:
        return
    axes.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axes.set_yticks(range(len(classes)), classes)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        dark = matrix[row, column] > matrix.max() / 2
        axes.text(
            column,
            row,
            str(matrix[row, column]),
            ha="center",
            va="center",
            color="white" if dark else "black",
        )


def _draw_reliability(axes: Axes, bins: metrics.Reliability) -> None:
    filled = bins.count > 0
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    axes.scatter(
        bins.confidence[filled], bins.accuracy[filled], s=20 + 200 * bins.count[filled] / bins.count.sum()
    )
    axes.set(title="Reliability, audit share", xlabel="confidence", ylabel="accuracy")
    axes.set(xlim=(0, 1.02), ylim=(-0.02, 1.02))


def mistakes(
    classes: Sequence[str],
    images: Sequence[LabelledImage],
    labels: npt.NDArray[np.int64],
    answers: npt.NDArray[np.floating],
) -> list[Tile]:
    """Return tiles of the images with the highest loss.

    Args:
        classes: C class names.
        images: N labelled images.
        labels: int [N], their classes.
        answers: float [N, C], their probabilities.
    """
    order = np.argsort(-metrics.losses(answers, labels), kind="stable")[: contact_sheet.MOST]
    return [_answered(classes, images[i], int(labels[i]), answers[i]) for i in order]


def _answered(
    classes: Sequence[str], image: LabelledImage, true: int, answer: npt.NDArray[np.floating]
) -> Tile:
    predicted = int(answer.argmax())
    lines = (
        f"label {classes[true]} ({answer[true]:.1%})",
        f"predicted {classes[predicted]} ({answer[predicted]:.1%})",
    )
    return Tile(image.key, image.etag, lines, marked=predicted != true)
