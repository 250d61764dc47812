"""Writes the stored predictions to a file, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from octospoon.adapters.files import new_file
from octospoon.adapters.label_files.tables import write_csv, write_parquet
from octospoon.cli.extras import require
from octospoon.cli.operations.exports import Exported
from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.boxes import classes_of, together
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.domain.task_types.task_type import Predicted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import StoredPrediction
    from octospoon.domain.task_types.task_type import TaskType

_PREDICTED: Mapping[str, type] = {
    "key": str,
    "prediction": str,
    "confidence": float,
    "model_version": int,
    "state": str,
    "label": str,
    "scored_at": str,
    "etag": str,
}
"""The columns of exported predictions, in order."""


def predictions(deployment: Deployment, to: Path) -> Exported:
    """Write the stored prediction of every image of the pool.

    Args:
        deployment: the deployment.
        to: the file; its name ends with ``.csv`` or ``.parquet``.

    Raises:
        BadRequest: the name ends otherwise, or the file exists.
        NotConfigured: Parquet needs a package that is not installed.
    """
    writers = {".csv": write_csv, ".parquet": write_parquet}
    writer = writers.get(to.suffix.lower())
    if writer is None:
        raise BadRequest(f"the name of {to} must end with .csv or .parquet")
    if writer is write_parquet:
        require("parquet", "octospoon predictions export FILE.parquet")
    left_out: dict[str, int] = {}
    with new_file(to) as draft:
        rows = writer(draft, _PREDICTED, _predicted(deployment, left_out))
    return Exported(str(to), to.suffix.lower()[1:], rows, left_out)


def _predicted(deployment: Deployment, left_out: dict[str, int]) -> Iterator[dict[str, Any]]:
    history, task_type = deployment.class_record().read(), deployment.task_type
    whole = task_type.name != TaskTypeName.CLASSIFICATION

    @cache
    def classes(version: int) -> tuple[str, ...]:
        pointer = deployment.champions.version(version)
        return () if pointer is None else tuple(pointer.classes)

    for image in deployment.pool_report.predictions(probabilities=whole):
        names = () if image.top_class is None else classes(image.model_version)
        if image.top_class is None or image.top_class >= len(names):
            reason = "scored before there was a trained model"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        predicted = _meant(image, names, task_type, history)
        if predicted is None:
            reason = "predicted as a class that is retired"
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        label = None if image.label is None else task_type.labels.current(image.label, history)
        yield _prediction(replace(image, label=label), predicted)


def _meant(
    image: StoredPrediction, names: Sequence[str], task_type: TaskType, history: ClassHistory
) -> Predicted | None:
    """Return what a stored prediction means now; None if nothing of it counts any longer."""
    if image.probabilities is None:
        name = history.current(names[image.top_class or 0])
        return None if name is None else Predicted(name, image.confidence)
    translated = task_type.translation(history, names)
    if not translated.names or classes_of(image.probabilities) != len(names):
        return None
    (predicted,) = task_type.predicted(translated(together([image.probabilities])), translated.names)
    return predicted


def _prediction(image: StoredPrediction, predicted: Predicted) -> dict[str, Any]:
    return {
        "key": image.key,
        "prediction": predicted.label,
        "confidence": predicted.confidence,
        "model_version": image.model_version,
        "state": str(image.state),
        "label": image.label,
        "scored_at": datetime.fromtimestamp(image.scored_at, UTC).isoformat(timespec="seconds"),
        "etag": image.etag,
    }
