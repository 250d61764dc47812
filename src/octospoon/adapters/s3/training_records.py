"""Training records in the artifacts bucket, beside the model files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.audit_boxes import AuditBoxes
from octospoon.domain.evaluation.training_record import TrainingRecord
from octospoon.domain.model_spec import SOFTMAX, ChampionPointer, record_key, version_key

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.adapters.s3.artifacts import S3Artifacts

_ACTIVATION = "activation"
_BOXES = ("judged", "boxes", "box_ends")
"""Numbers of the images, the bytes of all boxes, and where those of each image end."""
_NAMES = tuple(field.name for field in fields(TrainingRecord) if field.name not in (_ACTIVATION, "boxes"))


class S3TrainingRecords:
    """Implements `octospoon.ports.models.TrainingRecords`: archives of numpy, named by their sha256."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def put(self, record: TrainingRecord) -> str:
        """Store a record; return its sha256. Equal records have equal bytes."""
        body = packed(record)
        sha256 = hashlib.sha256(body).hexdigest()
        self._artifacts.write_new(record_key(sha256), body)
        return sha256

    def get(self, pointer: ChampionPointer) -> TrainingRecord | None:
        """Return a version's record, or None if it was not trained on any audit label.

        Raises:
            BadModel: the version has a record, and it is missing or damaged.
        """
        sha256 = pointer.record_sha256 or self._of_version(pointer)
        if not sha256:
            return None
        key = record_key(sha256)
        stored = self._artifacts.read(key)
        if stored is None or hashlib.sha256(stored[0]).hexdigest() != sha256:
            state = "missing" if stored is None else "damaged"
            raise BadModel(
                f"the training record of version {pointer.version} is {state}, so nothing says which labels "
                f"the model was trained on, and it cannot be measured: restore the object {key} from the "
                "copy in the version's run in MLflow, or serve another version with `octospoon model "
                "rollback --to VERSION`"
            )
        return unpacked(stored[0])

    def _of_version(self, pointer: ChampionPointer) -> str:
        """Return the sha256 in the version's own pointer; empty if it has none.

        Functions of an earlier release that move the champion's pointer drop the entries that they do not
        know. The version's own pointer is never written again.
        """
        stored = self._artifacts.read(version_key(pointer.version)) if pointer.predicts else None
        if stored is None:
            return ""
        try:
            own = msgspec.json.decode(stored[0], type=ChampionPointer)
        except msgspec.MsgspecError as error:
            raise BadModel(f"{version_key(pointer.version)} is not a pointer: {error}") from error
        return own.record_sha256 if own.sha256 == pointer.sha256 else ""


def packed(record: TrainingRecord) -> bytes:
    """Return a record as an uncompressed numpy archive, the same bytes for the same record.

    `numpy.savez` would write the time into the archive. The activation is written unless it is a softmax, and
    boxes if there are any. So records of classifiers are those of earlier releases.
    """
    arrays = {name: getattr(record, name) for name in _NAMES}
    if record.activation != SOFTMAX:
        arrays[_ACTIVATION] = np.array(record.activation)
    if record.boxes is not None:
        data = np.frombuffer(b"".join(record.boxes.boxes), np.uint8)
        ends = np.cumsum([len(boxes) for boxes in record.boxes.boxes], dtype=np.int64)
        arrays |= dict(zip(_BOXES, (record.boxes.images, data, ends), strict=True))
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for name, content in arrays.items():
            array = io.BytesIO()
            np.lib.format.write_array(array, np.asarray(content, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), array.getvalue())
    return body.getvalue()


def unpacked(body: bytes) -> TrainingRecord:
    """Return the record in an archive; raises BadModel if it holds none."""
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            activation = str(arrays[_ACTIVATION]) if _ACTIVATION in arrays else SOFTMAX
            boxes = _boxes(*(arrays[name] for name in _BOXES)) if _BOXES[0] in arrays else None
            return TrainingRecord(
                **{name: arrays[name] for name in _NAMES}, activation=activation, boxes=boxes
            )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise BadModel(f"the training record cannot be read: {error}") from error


def _boxes(
    images: npt.NDArray[np.uint64], data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]
) -> AuditBoxes:
    whole, places = data.tobytes(), [0, *ends.tolist()]
    return AuditBoxes(images, tuple(whole[start:end] for start, end in pairwise(places)))
