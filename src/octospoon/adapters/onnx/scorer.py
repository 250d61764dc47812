"""A complete model in ONNX: pixels to embeddings and probabilities, or to embeddings and boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.imaging.decode import frame
from octospoon.adapters.onnx.outputs import check_boxes, check_probabilities, checked
from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, PROBABILITIES, SCORES, ModelSpec
from octospoon.domain.pool.boxes import placed
from octospoon.domain.pool.framing import WHOLE
from octospoon.domain.pool.images import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.pool.framing import Framed, Region


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
        predicted = [BOXES, SCORES] if self._spec.boxes else [PROBABILITIES]
        self._outputs = [EMBEDDING, *(predicted if self._spec.has_head else ())]
        self._check_signature()
        self.run(np.zeros((1, self._spec.height, self._spec.width, 3), np.uint8))

    @property
    def spec(self) -> ModelSpec:
        """The description that the model file contains."""
        return self._spec

    @property
    def generation(self) -> int:
        """The generation of the champion pointer that names this model."""
        return self._generation

    def preprocess(self, data: bytes) -> Framed:
        """Decode and resize one image to uint8 [H, W, 3]; raises BadImage."""
        return frame(data, self._spec.height, self._spec.width, self._spec.resize)

    def predict(
        self, images: npt.NDArray[np.uint8], regions: Sequence[Region] | None = None
    ) -> list[Prediction]:
        """Score uint8 [N, H, W, 3].

        Args:
            images: the pixels.
            regions: the part of its upload that each image shows; None if each shows the whole upload.

        Raises:
            BadModel: the model failed, or its output is not finite or has the wrong shape.
            ValueError: the regions are missing, and without them boxes would be shares of something else.
        """
        if regions is None:
            if self._spec.boxes and self._spec.resize != "squash":
                raise ValueError(
                    f"boxes of a model that takes images by {self._spec.resize} need the regions"
                )
            regions = [WHOLE] * len(images)
        embedding, predicted = self.run(images)
        return [
            Prediction(
                self._spec.version,
                self._spec.backbone,
                embedding[i],
                None if predicted is None else self._placed(predicted[i], region),
                self._generation,
            )
            for i, region in enumerate(regions)
        ]

    def run(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Return embeddings float32 [N, D] and probabilities float32 [N, C] (None without a head).

        A model that predicts boxes returns float32 [N, K, 4 + C] in the place of probabilities, with its
        boxes as shares of the input.
        """
        outputs = run_session(self._session, self._outputs, {INPUT: images})
        embedding = checked(outputs[0], (len(images), self._spec.dim), EMBEDDING)
        if not self._spec.has_head:
            return embedding, None
        if self._spec.boxes:
            shape = (len(images), self._spec.boxes, len(self._spec.classes))
            return embedding, check_boxes(outputs[1], outputs[2], shape)
        return embedding, check_probabilities(
            outputs[1], len(images), len(self._spec.classes), self._spec.activation
        )

    def _placed(self, predicted: npt.NDArray[np.float32], region: Region) -> npt.NDArray[np.float32]:
        return placed(predicted, region) if self._spec.boxes else predicted

    def _check_signature(self) -> None:
        inputs = {node.name: node.type for node in self._session.get_inputs()}
        if inputs != {INPUT: "tensor(uint8)"}:
            raise BadModel(f"the model's inputs are {inputs}, not one uint8 tensor named {INPUT!r}")
        outputs = {node.name for node in self._session.get_outputs()}
        if missing := set(self._outputs) - outputs:
            raise BadModel(f"the model has no output named {', '.join(sorted(missing))}")
