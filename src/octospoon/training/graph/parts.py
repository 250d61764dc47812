"""Read the lengths of the embeddings that stand side by side in a graph."""

from __future__ import annotations

import onnx
import onnx.shape_inference

from octospoon.domain.model_spec import EMBEDDING
from octospoon.training.graph import onnx_graph

SCALED = "/scaled"
"""Ends the name of the embedding of a part after its factor."""


def widths(model: bytes) -> tuple[int, ...]:
    """Return the lengths of the embeddings that stand side by side; empty unless octospoon joined them.

    The graph says so itself, and fine-tuning keeps it. So this also holds for files of earlier releases.

    Args:
        model: an ONNX file, a backbone or a model with it.
    """
    proto = onnx.load_from_string(model)
    joined = onnx_graph.made_by(proto.graph).get(EMBEDDING)
    if joined is None or joined.op_type != "Concat":
        return ()
    if not all(name.endswith(SCALED) for name in joined.input):
        return ()
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    shapes = {value.name: onnx_graph.shape(value) or [0] for value in inferred.value_info}
    sizes = tuple(shapes.get(name, [0])[-1] for name in joined.input)
    return sizes if all(sizes) else ()
