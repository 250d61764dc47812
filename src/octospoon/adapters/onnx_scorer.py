"""Models as ONNX files: the whole one (pixels -> embedding and probabilities) and the head alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from octospoon.domain.entities import Prediction
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import EMBEDDING, INPUT, PROBABILITIES, ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

_SUM_TOLERANCE = 1e-3


def open_session(path: Path) -> ort.InferenceSession:
    """Open an ONNX file with one thread: the callers make the parallelism, and none of it spins.

    Raises:
        BadModel: onnxruntime cannot load the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises types of its own, undocumented
        raise BadModel(f"onnxruntime cannot load the model: {error}") from error


class OnnxScorer:
    """A whole model, checked against the contract when it is opened. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        self._spec = ModelSpec.from_metadata(self._session.get_modelmeta().custom_metadata_map)
        self._outputs = [EMBEDDING, PROBABILITIES] if self._spec.has_head else [EMBEDDING]
        self._check_signature()
        self.predict(np.zeros((1, self._spec.height, self._spec.width, 3), np.uint8))

    @property
    def spec(self) -> ModelSpec:
        """The model's own description."""
        return self._spec

    def preprocess(self, data: bytes) -> npt.NDArray[np.uint8]:
        """Decode and resize one picture to uint8 [H, W, 3]; raises BadImage with the reason."""
        from octospoon.adapters.decode import decode  # here, because rescore's artefact has no Pillow

        return decode(data, self._spec.height, self._spec.width, self._spec.resize)

    def predict(self, images: npt.NDArray[np.uint8]) -> list[Prediction]:
        """Score uint8 [N, H, W, 3].

        Raises:
            BadModel: the model failed, or its output is not finite or has the wrong shape.
        """
        embedding, probabilities = self.run(images)
        return [
            Prediction(
                self._spec.version,
                self._spec.backbone,
                embedding[i],
                None if probabilities is None else probabilities[i],
            )
            for i in range(len(images))
        ]

    def run(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return embeddings float32 [N, D] and probabilities float32 [N, C] (None without a head)."""
        outputs = run_session(self._session, self._outputs, {INPUT: images})
        embedding = _checked(outputs[0], (len(images), self._spec.dim), EMBEDDING)
        if not self._spec.has_head:
            return embedding, None
        return embedding, check_probabilities(outputs[1], len(images), len(self._spec.classes))

    def _check_signature(self) -> None:
        inputs = {node.name: node.type for node in self._session.get_inputs()}
        if inputs != {INPUT: "tensor(uint8)"}:
            raise BadModel(f"the model's inputs are {inputs}, not one uint8 tensor named {INPUT!r}")
        outputs = {node.name for node in self._session.get_outputs()}
        if missing := set(self._outputs) - outputs:
            raise BadModel(f"the model has no output named {', '.join(sorted(missing))}")


class OnnxHead:
    """The head alone: embeddings -> calibrated probabilities."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]; raises BadModel."""
        (output,) = run_session(self._session, [PROBABILITIES], {EMBEDDING: embedding})
        return check_probabilities(output, len(embedding), output.shape[-1])


def run_session(
    session: ort.InferenceSession, outputs: list[str], feed: dict[str, npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Run a session; raises BadModel when it fails."""
    try:
        return list(session.run(outputs, feed))
    except Exception as error:  # onnxruntime raises types of its own, undocumented
        raise BadModel(f"the model failed on its input: {error}") from error


def check_probabilities(array: npt.NDArray[Any], rows: int, classes: int) -> npt.NDArray[np.float32]:
    """Return the array as float32 [rows, classes] whose rows sum to one; raises BadModel."""
    checked = _checked(array, (rows, classes), PROBABILITIES)
    if rows and (checked.min() < 0 or np.abs(checked.sum(axis=1) - 1).max() > _SUM_TOLERANCE):
        raise BadModel("the model's probabilities are negative or do not sum to one")
    return checked


def _checked(array: npt.NDArray[Any], shape: tuple[int, int], name: str) -> npt.NDArray[np.float32]:
    if array.shape != shape:
        raise BadModel(f"the model's {name} has shape {array.shape}, not {shape}")
    if array.dtype != np.float32 or not np.isfinite(array).all():
        raise BadModel(f"the model's {name} is not finite float32")
    return array
