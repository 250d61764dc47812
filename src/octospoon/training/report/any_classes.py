"""The evaluation of a model with several classes per image as files: its classes and its thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.task_types.multilabel import metrics
from octospoon.domain.task_types.multilabel.estimates import MultilabelEvaluation
from octospoon.domain.task_types.multilabel.label import NONE
from octospoon.domain.task_types.multilabel.predictions import THRESHOLD
from octospoon.training.report import class_chart, contact_sheet
from octospoon.training.report.contact_sheet import Tile
from octospoon.training.report.tables import share, shares, write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged

THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""The thresholds of ``thresholds.csv``."""


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
    ends = [f"{name}{end}" for name in ("recall", "precision") for end in ("", "_low", "_high")]
    write_table(
        folder / "classes.csv",
        ["class", "audit_labels", "predicted", *ends, "f1"],
        (
            [name, recall.labels, right.labels, *shares(recall), *shares(right), share(float(score))]
            for name, recall, right, score in zip(
                classes, measured.recall, measured.precision, scores, strict=True
            )
        ),
    )
    curves = threshold_curves(judged.probabilities, labels)
    write_table(
        folder / "thresholds.csv",
        ["threshold", "micro_precision", "micro_recall", "micro_f1", "macro_f1"],
        (
            [f"{threshold:.2f}", *map(share, row.tolist())]
            for threshold, row in zip(THRESHOLDS, curves, strict=True)
        ),
    )
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


def _write_plot(
    path: Path, classes: Sequence[str], measured: MultilabelEvaluation, curves: npt.NDArray[np.float64]
) -> None:
    # the Figure class alone: pyplot would cost a second of import and looks for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    class_chart.draw(left, classes, {"recall": measured.recall, "precision": measured.precision})
    for values, name in zip(curves.T, ("precision", "recall", "micro F1", "macro F1"), strict=True):
        right.plot(THRESHOLDS, values, label=name)
    right.axvline(THRESHOLD, color="grey", linestyle="--", linewidth=1)
    right.set(title="All decisions, audit share", xlabel="threshold", xlim=(0, 1), ylim=(-0.02, 1.02))
    right.legend()
    figure.savefig(path, dpi=100, metadata={"Software": None})
