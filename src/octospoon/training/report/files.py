"""Write the files that explain a model: tables, a figure and the snapshot that it was trained on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.labelling.blinding import audit_rule
from octospoon.training.report.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.evaluation.gate import Targets
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.training.evaluation.gate import Judged


def write_files(
    folder: Path,
    classes: Sequence[str],
    images: Sequence[LabelledImage],
    audit_labels: Targets,
    judged: Judged,
    task_type: str,
) -> None:
    """Write every file that explains a model.

    They are ``snapshot.jsonl`` (it reproduces the training data) and ``decision.json`` (the gate's decision
    and reasons). With audit labels, ``evaluation.json`` (every metric with its interval), ``classes.csv`` and
    ``evaluation.png`` are added. So is ``confusion.json`` for one class per image, ``thresholds.csv`` for
    several, or ``precision_recall.csv`` for boxes.

    Args:
        folder: an existing folder.
        classes: C class names.
        images: the labelled images that were used, audit share included.
        audit_labels: the targets of the task type, with N rows.
        judged: the gate's decision and the predictions for these N audit images.
        task_type: its name.
    """
    (folder / "snapshot.jsonl").write_bytes(manifest(images))
    decision = json.dumps(asdict(judged.decision), ensure_ascii=False, indent=1)
    (folder / "decision.json").write_text(decision, "utf-8")
    if len(audit_labels):
        _write_evaluation(folder, classes, judged, audit_labels, audit_rule(images), task_type)


def manifest(images: Sequence[LabelledImage]) -> bytes:
    """Return labelled images as JSON lines, the same bytes for the same images."""
    lines = [json.dumps(asdict(image), ensure_ascii=False, sort_keys=True) for image in images]
    return "".join(f"{line}\n" for line in lines).encode()


def _write_evaluation(
    folder: Path,
    classes: Sequence[str],
    judged: Judged,
    labels: Targets,
    rule: str,
    task_type: str,
) -> None:
    evaluation = asdict(judged.evaluation, dict_factory=_finite) | {"audit_predictions": rule}
    measured = json.dumps(evaluation, indent=1)
    (folder / "evaluation.json").write_text(measured, "utf-8")
    REPORTS[task_type].write_evaluation(folder, classes, judged, labels)


def _finite(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dict with None for NaN and infinite numbers, which JSON cannot represent."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in pairs
    }
