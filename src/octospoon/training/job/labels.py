"""Read the labels of a job: written once, and read with the classes that the project has by then."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.task_types.labelled import labelled_now
from octospoon.training.data import embeddings
from octospoon.training.data.dataset import gather

if TYPE_CHECKING:
    from octospoon.ports.models import Scorer
    from octospoon.training.context import TrainingPorts
    from octospoon.training.data.dataset import Dataset

_log = logging.getLogger(__name__)


def read_labels(job_id: str, ports: TrainingPorts, scorer: Scorer) -> tuple[TrainingPorts, Dataset]:
    """Read the snapshot, or write it if this is the first attempt, and collect its embeddings.

    Args:
        job_id: of the job.
        ports: of the job.
        scorer: the model in service.

    Returns:
        The ports with the project's classes, and the data.
    """
    snapshot = ports.snapshots.read(job_id)
    if snapshot is None:
        snapshot = ports.snapshots.write(job_id, list(ports.labels.labelled()))
    # read after the snapshot was written, so that every label of it is known
    history = ports.class_history()
    classes = history.names or ports.classes
    rows = ports.pool.rows([image.key for image in snapshot])
    images = list(labelled_now(snapshot, ports.task_type.labels, history))
    dataset = gather(images, classes, ports.task_type, rows, ports.images, scorer)
    embeddings.keep(ports.pool, dataset, rows, scorer.spec.backbone)
    named = ports.task_type.labels.classes
    ports.keep_labels(Counter(name for image in dataset.images for name in named(image.label)))
    dataset.log_ids(job_id)
    if dataset.dropped:
        _log.warning("job %s: %s", job_id, dataset.left_out())
    return replace(ports, classes=classes), dataset
