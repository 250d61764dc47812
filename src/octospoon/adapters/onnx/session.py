"""onnxruntime sessions with one thread each, and checked outputs.

This is separate from the scorer, so that code which runs only a head needs no image library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from octospoon.adapters.onnx.outputs import check_probabilities
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import EMBEDDING, PROBABILITIES, SOFTMAX

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


def open_session(model: Path | bytes) -> ort.InferenceSession:
    """Open an ONNX file, or its content, with one thread. Parallelism comes from the callers.

    Raises:
        BadModel: onnxruntime cannot load the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised and need not be printed too
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises undocumented types
        raise BadModel(f"onnxruntime cannot load the model: {error}") from error


class OnnxHead:
    """A head in ONNX: embeddings to calibrated probabilities."""

    def __init__(self, path: Path) -> None:
        self._session = open_session(path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.activation = metadata.get("activation", SOFTMAX)

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]; raises BadModel."""
        (output,) = run_session(self._session, [PROBABILITIES], {EMBEDDING: embedding})
        return check_probabilities(output, len(embedding), output.shape[-1], self.activation)


def run_session(
    session: ort.InferenceSession, outputs: list[str], feed: dict[str, npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """Run a session; raises BadModel if it fails."""
    try:
        return list(session.run(outputs, feed))
    except Exception as error:  # onnxruntime raises undocumented types
        raise BadModel(f"the model failed on its input: {error}") from error
