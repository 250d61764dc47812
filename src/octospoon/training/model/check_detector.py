"""Compare a wrapped detector with the original one, run by plain onnxruntime and read with numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import helper

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import BOXES, INPUT, SCORES
from octospoon.training.graph import onnx_graph, suppression
from octospoon.training.graph.detector import RAW_BOXES, RAW_SCORES, raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx

    from octospoon.training.graph.detector import Detector
    from octospoon.training.graph.preprocessing import Pixels

LARGEST_GAP = 1e-3
"""The largest difference of a share or a score."""
_SELECTED = 1000
"""The most boxes that an exporter selects; more are all that there are, in a fixed order."""


class Reference(NamedTuple):
    """The original model, as plain onnxruntime runs it.

    Attributes:
        model: as it was exported.
        detector: the form of its outputs.
        pixels: the pixel format of its input.
        layout: of its input, ``nchw`` or ``nhwc``.
    """

    model: onnx.ModelProto
    detector: Detector
    pixels: Pixels
    layout: str

    def __call__(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return boxes float32 [N, M, 4] and scores float32 [N, M, C] of images, before suppression.

        Raises:
            BadRequest: the model gives labels that are no class.
        """
        constants = {tensor.name for tensor in self.model.graph.initializer}
        (value,) = (value for value in self.model.graph.input if value.name not in constants)
        session = open_session(self.model.SerializeToString())
        rank, batch = len(onnx_graph.shape(value) or [0] * 4), max(1, (onnx_graph.shape(value) or [1])[0])
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        detections = []
        for picture in self._tensors(images, kind):
            feed = picture if rank == 3 else np.stack([picture] * batch)
            answers = run_session(session, list(self.detector.outputs), {value.name: feed})
            boxes, scores = raw(self.detector, answers, images.shape[1:3])
            detections.append((boxes[0], scores[0]))
        for numbers in (*(boxes for boxes, _ in detections), *(scores for _, scores in detections)):
            if not np.isfinite(numbers).all():
                raise BadRequest(
                    "the model gives labels that are no class, or numbers that are not finite: see --classes "
                    "and --first-label"
                )
        return _padded([boxes for boxes, _ in detections]), _padded([scores for _, scores in detections])

    def _tensors(self, images: npt.NDArray[np.uint8], kind: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
        colours = images[..., ::-1] if self.pixels.channels == "bgr" else images
        factors, offsets = self.pixels.factors()
        numbers = (
            colours if kind == np.uint8 else (colours.astype(np.float32) * factors + offsets).astype(kind)
        )
        return np.ascontiguousarray(numbers.transpose(0, 3, 1, 2) if self.layout == "nchw" else numbers)


def _padded(rows: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    most = max(map(len, rows))
    return np.stack([np.pad(row, ((0, most - len(row)), (0, 0))) for row in rows])


def check(
    whole: onnx.ModelProto,
    expected: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    images: npt.NDArray[np.uint8],
    rules: suppression.Rules,
) -> None:
    """Compare a wrapped detector with the original one and the suppression in numpy.

    Args:
        whole: the wrapped detector, with RAW_BOXES and RAW_SCORES among its outputs.
        expected: what `Reference` returns for the images.
        images: uint8 [N, H, W, 3].
        rules: how boxes are suppressed.

    Raises:
        BadModel: the numbers differ.
    """
    *before, boxes, scores = onnx_graph.run_all(
        whole, {INPUT: images}, [RAW_BOXES, RAW_SCORES, BOXES, SCORES]
    )
    for ours, theirs in zip(np.concatenate(before, axis=2), np.concatenate(expected, axis=2), strict=True):
        if not _same_boxes(ours, theirs):
            raise BadModel("the wrapped detector gives other boxes than the original: please report this")
    for ours, theirs in zip((boxes, scores), suppression.reference(before[0], before[1], rules), strict=True):
        if not np.abs(ours - theirs).max(initial=0) <= LARGEST_GAP:
            raise BadModel("the suppression in the graph differs from that in numpy: please report this")


def _same_boxes(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> bool:
    """Return whether float32 [M, 4 + C] and float32 [L, 4 + C] are the same boxes up to unused rows.

    Exporters that select boxes may select others after rounding: another order, and other boxes among those
    with the lowest scores. So rows are looked for, and the worst ones may be missing.
    """
    ours = np.pad(ours, ((0, max(0, len(theirs) - len(ours))), (0, 0)))
    theirs = np.pad(theirs, ((0, len(ours) - len(theirs)), (0, 0)))
    if np.abs(ours - theirs).max(initial=0) <= LARGEST_GAP:
        return True
    if len(ours) > _SELECTED:
        return False
    gaps = np.stack([np.abs(ours - row).max(axis=1) for row in theirs]) <= LARGEST_GAP
    best = theirs[:, 4:].max(axis=1)
    matched = gaps.any(axis=1)
    cut_off = best[matched].min(initial=1) + LARGEST_GAP
    return bool(matched.mean() > 0.5 and (best[~matched] <= cut_off).all())
