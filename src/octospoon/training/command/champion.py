"""Choose the model that a program may begin from: the one in service, unless that has seen audit images."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.model_spec import ChampionPointer, ModelSpec
    from octospoon.ports.models import Champions, TrainingRecords
    from octospoon.training.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Given:
    """A model that a program may begin from.

    Attributes:
        file: the ONNX file.
        images: uint64 [B], numbers of the images that it was trained on.
    """

    file: bytes
    images: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


@dataclass(frozen=True, slots=True)
class InService:
    """The model in service, with the record of its training.

    Attributes:
        champions: the pointer and the model files.
        records: of the training of each version.
    """

    champions: Champions
    records: TrainingRecords

    def detector(self) -> Given | None:
        """Return the detector in service, or the backbone with which a project begins; None before the first.

        Detectors are trained on no audit image. One that became an audit image later is judged for neither
        model, see `octospoon.training.evaluation.detector`.
        """
        stored = self.champions.pointer()
        if stored is None:
            return None
        learned = self._learned(stored[0])
        return self._of(stored[0], np.empty(0, np.uint64) if learned is None else learned)

    def classifier(self, dataset: Dataset, spec: ModelSpec) -> Given | None:
        """Return the classifier in service; None if it fits no longer, or was trained on audit images.

        A program that learned from audit labels would look better than it is.

        Args:
            dataset: the labelled images, with the audit share.
            spec: the classes, the backbone and the activation that the model must have.
        """
        stored = self.champions.pointer()
        if stored is None or not stored[0].predicts:
            return None
        pointer, learned = stored[0], self._learned(stored[0])
        audit = dataset.part(audit=True).numbers()
        if learned is None or np.isin(audit, learned).any():
            return None
        given = self._of(pointer, learned)
        own = model_file.read_spec(given.file)
        wanted = (spec.classes, spec.backbone, spec.activation)
        return given if (own.classes, own.backbone, own.activation) == wanted else None

    def _learned(self, pointer: ChampionPointer) -> npt.NDArray[np.uint64] | None:
        """Return the images that a version was trained on, uint64 [B]; None if that cannot be read."""
        try:
            record = self.records.get(pointer)
        except BadModel:
            return None
        if record is None:
            return np.empty(0, np.uint64)
        return np.concatenate([record.images, record.backbone])

    def _of(self, pointer: ChampionPointer, images: npt.NDArray[np.uint64]) -> Given:
        with tempfile.TemporaryDirectory() as folder:
            return Given(self.champions.fetch(pointer, Path(folder)).read_bytes(), images)
