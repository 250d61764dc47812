"""Write the files that explain a model: tables, a figure and the snapshot that it was trained on."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.labelling.blinding import audit_rule
from octospoon.domain.task_types.classification import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Evaluation
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged

_MANY_CLASSES = 20


def write_files(
    folder: Path,
    classes: Sequence[str],
    images: Sequence[LabelledImage],
    audit_labels: npt.NDArray[np.int64],
    judged: Judged,
) -> None:
    """Write every file that explains a model.

    They are ``snapshot.jsonl`` (it reproduces the training data) and ``decision.json`` (the gate's decision
    and reasons). With audit labels, ``evaluation.json`` (every metric with its interval), ``confusion.json``,
    ``classes.csv`` and ``evaluation.png`` are added.

    Args:
        folder: an existing folder.
        classes: C class names.
        images: the labelled images that were used, audit share included.
        audit_labels: int [N], positions in `classes`.
        judged: the gate's decision and the predictions for these N audit images.
    """
    (folder / "snapshot.jsonl").write_bytes(manifest(images))
    decision = json.dumps(asdict(judged.decision), ensure_ascii=False, indent=1)
    (folder / "decision.json").write_text(decision, "utf-8")
    if len(audit_labels):
        _write_evaluation(folder, classes, judged, audit_labels, audit_rule(images))


def manifest(images: Sequence[LabelledImage]) -> bytes:
    """Return labelled images as JSON lines, the same bytes for the same images."""
    lines = [json.dumps(asdict(image), ensure_ascii=False, sort_keys=True) for image in images]
    return "".join(f"{line}\n" for line in lines).encode()


def _write_evaluation(
    folder: Path, classes: Sequence[str], judged: Judged, labels: npt.NDArray[np.int64], rule: str
) -> None:
    evaluation = asdict(judged.evaluation, dict_factory=_finite) | {"audit_predictions": rule}
    measured = json.dumps(evaluation, indent=1)
    (folder / "evaluation.json").write_text(measured, "utf-8")
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
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "audit_labels", "recall", "recall_low", "recall_high", "precision"])
        for name, recall, right in zip(classes, measured.recall, metrics.precision(matrix), strict=True):
            writer.writerow(
                [name, recall.labels, *map(_share, (recall.value, recall.low, recall.high, float(right)))]
            )


def _finite(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict with None for NaN and infinite numbers, which JSON cannot represent."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in pairs
    }


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


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
