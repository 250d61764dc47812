"""Define the dependencies of a training job: ports, trainer and the gate's limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.domain.evaluation import gate
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.training.head.trainer import Trainer, train_head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.domain.training.backbone_change import Candidate
    from octospoon.ports.clock import Clock
    from octospoon.ports.images import ImageStore
    from octospoon.ports.labelling import Labels, Rounds
    from octospoon.ports.models import (
        Champions,
        HeadScorer,
        ModelHistory,
        Observations,
        References,
        Scorer,
        TrainingRecords,
    )
    from octospoon.ports.pool import TrainingPool
    from octospoon.ports.training import Control, DatasetArchive, Registry, Snapshots


@dataclass(frozen=True, slots=True)
class TrainingPorts:
    """The dependencies of a training job.

    Attributes:
        datasets: where the snapshot's manifest is committed; None if no repository is configured.
        open_model: loads a whole model file (`octospoon.adapters.onnx.scorer.OnnxScorer`).
        open_head: loads a head file (`octospoon.adapters.onnx.session.OnnxHead`).
        classes: the project's class names, in order; at least two.
        task_type: the kind of label.
        class_history: returns the changes of these classes, for older labels and models.
        keep_labels: stores the number of labels of each class, for the choice of the next batch.
        trainer: trains the model.
        rules: the gate's limits.
        candidate: the backbone that was requested for this job; None for the one in service.
    """

    clock: Clock
    control: Control
    labels: Labels
    snapshots: Snapshots
    pool: TrainingPool
    images: ImageStore
    champions: Champions
    references: References
    training_records: TrainingRecords
    history: ModelHistory
    observations: Observations
    registry: Registry
    rounds: Rounds
    open_model: Callable[[Path], Scorer]
    open_head: Callable[[Path], HeadScorer]
    classes: tuple[str, ...]
    task_type: TaskType
    datasets: DatasetArchive | None = None
    trainer: Trainer = train_head
    rules: gate.Rules = field(default_factory=gate.Rules)
    candidate: Candidate | None = None
    class_history: Callable[[], ClassHistory] = ClassHistory
    keep_labels: Callable[[Mapping[str, int]], None] = lambda _: None
