"""The evaluation of a model with several classes per image as files: its classes and its thresholds."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.multilabel import metrics
from octospoon.domain.task_types.multilabel.estimates import MultilabelEvaluation
from octospoon.domain.task_types.multilabel.label import NONE
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD
from octospoon.training.report import contact_sheet
from octospoon.training.report.contact_sheet import Tile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from octospoon.domain.evaluation.estimators import Estimate
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""The thresholds of ``thresholds.csv``."""
_MANY_CLASSES = 30


def write_evaluation(
    folder: Path, classes: Sequence[str], judged: Judged, labels: npt.NDArray[np.int64]
) -> None:
    """Write ``classes.csv``, ``thresholds.csv`` and ``evaluation.png``; see `files.write_files`.

    Args:
        folder: an existing folder.
        classes: C class names.
        judged: predictions for N audit images, and their evaluation.
        labels: int [N, C], 1 for a class that is present.
    """
    measured = judged.evaluation
    if not isinstance(measured, MultilabelEvaluation):
        raise TypeError(f"{type(measured).__name__} does not evaluate several classes per image")
    scores = metrics.f1_scores(judged.probabilities, labels)
    with (folder / "classes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        shares = [f"{name}{end}" for name in ("recall", "precision") for end in ("", "_low", "_high")]
        writer.writerow(["class", "audit_labels", "predicted", *shares, "f1"])
        for name, recall, right, score in zip(
            classes, measured.recall, measured.precision, scores, strict=True
        ):
            counts = [recall.labels, right.labels]
            writer.writerow([name, *counts, *_cells(recall), *_cells(right), _share(float(score))])
    curves = threshold_curves(judged.probabilities, labels)
    with (folder / "thresholds.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["threshold", "micro_precision", "micro_recall", "micro_f1", "macro_f1"])
        for threshold, row in zip(THRESHOLDS, curves, strict=True):
            writer.writerow([f"{threshold:.2f}", *map(_share, row.tolist())])
    _write_plot(folder / "evaluation.png", classes, measured, curves)


def threshold_curves(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Return micro precision, micro recall, micro F1 and macro F1 at each of THRESHOLDS, float64 [T, 4].

    NaN stands for a share of nothing.

    Args:
        probabilities: float [N, C].
        labels: int [N, C], 1 for a class that is present.
    """
    rows = []
    for threshold in THRESHOLDS.tolist():
        decided = (probabilities >= threshold).astype(np.float64)
        both = int(((decided == 1) & (labels == 1)).sum())
        parts = [both / count if count else np.nan for count in (int(decided.sum()), int(labels.sum()))]
        rows.append([*parts, metrics.micro_f1(decided, labels), metrics.macro_f1(decided, labels)])
    return np.array(rows)


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
        labels: int [N, C], 1 for a class that is present.
        answers: float [N, C], their probabilities.
    """
    order = np.argsort(-metrics.losses(answers, labels), kind="stable")[: contact_sheet.MOST]
    return [_answered(classes, images[i], labels[i] == 1, answers[i]) for i in order]


def _answered(
    classes: Sequence[str],
    image: LabelledImage,
    present: npt.NDArray[np.bool_],
    answer: npt.NDArray[np.floating],
) -> Tile:
    predicted = answer >= THRESHOLD
    wrong = predicted != present
    worst = int(np.where(present, 1 - answer, answer).argmax())
    lines = (
        f"label {_names(classes, present)}",
        f"predicted {_names(classes, predicted)}",
        f"{classes[worst]}: {answer[worst]:.1%}",
    )
    return Tile(image.key, image.etag, lines, marked=bool(wrong.any()))


def _names(classes: Sequence[str], present: npt.NDArray[np.bool_]) -> str:
    return ", ".join(name for name, there in zip(classes, present, strict=True) if there) or NONE


def _cells(estimate: Estimate) -> list[str]:
    return [_share(estimate.value), _share(estimate.low), _share(estimate.high)]


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _write_plot(
    path: Path, classes: Sequence[str], measured: MultilabelEvaluation, curves: npt.NDArray[np.float64]
) -> None:
    # the Figure class alone: pyplot would cost a second of import and looks for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for estimates, name, shift in (
        (measured.recall, "recall", -0.15),
        (measured.precision, "precision", 0.15),
    ):
        _draw_classes(left, estimates, name, shift)
    left.set(title="Classes, audit share, with 95 % intervals", xlim=(-0.02, 1.02))
    if len(classes) <= _MANY_CLASSES:
        left.set_yticks(range(len(classes)), classes)
    left.invert_yaxis()
    left.legend()
    for values, name in zip(curves.T, ("precision", "recall", "micro F1", "macro F1"), strict=True):
        right.plot(THRESHOLDS, values, label=name)
    right.axvline(THRESHOLD, color="grey", linestyle="--", linewidth=1)
    right.set(title="All decisions, audit share", xlabel="threshold", xlim=(0, 1), ylim=(-0.02, 1.02))
    right.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _draw_classes(axes: Axes, estimates: Sequence[Estimate], name: str, shift: float) -> None:
    known = [(at, each) for at, each in enumerate(estimates) if each.labels]
    values = np.array([each.value for _, each in known])
    ends = np.array([[each.value - each.low, each.high - each.value] for _, each in known]).reshape(-1, 2)
    places = np.array([at + shift for at, _ in known])
    axes.errorbar(values, places, xerr=ends.T, fmt="o", label=name, capsize=2)
