"""A complete model in ONNX: pixels to embeddings and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.onnx.outputs import check_probabilities, checked
from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import EMBEDDING, INPUT, PROBABILITIES, ModelSpec
from octospoon.domain.pool.images import Prediction

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


class OnnxScorer:
    """A complete model, checked against the contract when it is opened. Threads may share it.

    Args:
        path: of the file.
        generation: of the champion pointer; stored with the predictions.
    """

    def __init__(self, path: Path, generation: int = 0) -> None:
        self._generation = generation
        self._session = open_session(path)
        self._spec = ModelSpec.from_metadata(self._session.get_modelmeta().custom_metadata_map)
        self._outputs = [EMBEDDING, PROBABILITIES] if self._spec.has_head else [EMBEDDING]
        self._check_signature()
        self.predict(np.zeros((1, self._spec.height, self._spec.width, 3), np.uint8))

    @property
    def spec(self) -> ModelSpec:
        """The description that the model file contains."""
        return self._spec

    def preprocess(self, data: bytes) -> npt.NDArray[np.uint8]:
        """Decode and resize one image to uint8 [H, W, 3]; raises BadImage."""
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
                self._generation,
            )
            for i in range(len(images))
        ]

    def run(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return embeddings float32 [N, D] and probabilities float32 [N, C] (None without a head)."""
        outputs = run_session(self._session, self._outputs, {INPUT: images})
        embedding = checked(outputs[0], (len(images), self._spec.dim), EMBEDDING)
        if not self._spec.has_head:
            return embedding, None
        return embedding, check_probabilities(
            outputs[1], len(images), len(self._spec.classes), self._spec.activation
        )

    def _check_signature(self) -> None:
        inputs = {node.name: node.type for node in self._session.get_inputs()}
        if inputs != {INPUT: "tensor(uint8)"}:
            raise BadModel(f"the model's inputs are {inputs}, not one uint8 tensor named {INPUT!r}")
        outputs = {node.name for node in self._session.get_outputs()}
        if missing := set(self._outputs) - outputs:
            raise BadModel(f"the model has no output named {', '.join(sorted(missing))}")
