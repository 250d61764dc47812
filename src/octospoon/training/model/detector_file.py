"""Put the classes of a detector into another order, and take octospoon's own detectors apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.model_spec import BOXES, EMBEDDING, HEAD_PREFIX, SCORES
from octospoon.training.graph import onnx_graph
from octospoon.training.graph.batching import OURS
from octospoon.training.model.model_file import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence


def heads_of(model: bytes) -> bytes | None:
    """Return the heads of a detector alone: feature maps of its backbone -> BOXES and SCORES.

    Args:
        model: a file that octospoon assembled.

    Returns:
        None for a detector from elsewhere, which is one graph.
    """
    proto = onnx.load_from_string(model)
    graph = proto.graph
    nodes = [node for node in graph.node if node.name.startswith(HEAD_PREFIX)]
    if not nodes:
        return None
    constants = [tensor for tensor in graph.initializer if tensor.name.startswith(HEAD_PREFIX)]
    made = {tensor.name for tensor in constants} | {name for node in nodes for name in node.output}
    read = {name: None for node in nodes for name in node.input if name and name not in made}
    shapes = {
        value.name: onnx_graph.shape(value)
        for value in onnx.shape_inference.infer_shapes(proto).graph.value_info
    }
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["N", *(size or None for size in (shapes.get(name) or [0])[1:])]
        )
        for name in read
    ]
    outputs = [value for value in graph.output if value.name in (BOXES, SCORES)]
    body = helper.make_graph(nodes, "detector", inputs, outputs, constants)
    heads = helper.make_model(
        body, opset_imports=proto.opset_import, ir_version=proto.ir_version, producer_name="octospoon"
    )
    data: bytes = heads.SerializeToString(deterministic=True)
    return data


def features_of(backbone: bytes) -> bytes:
    """Return a backbone without boxes: that of a detector from elsewhere is one graph with both.

    Other heads can then be trained on its feature maps. Such a file is another backbone.

    Args:
        backbone: the ONNX file of any backbone.
    """
    model = onnx.load_from_string(backbone)
    kept = [value for value in model.graph.output if value.name == EMBEDDING]
    if len(kept) == len(model.graph.output):
        return backbone
    copies = onnx.GraphProto()
    copies.output.extend(kept)
    del model.graph.output[:]
    model.graph.output.extend(copies.output)
    onnx_graph.prune(model.graph)
    return canonical(model.SerializeToString())


def in_order(file: bytes, order: Sequence[int], *, heads: bool) -> bytes:
    """Return a detector, or the heads of one, with its classes in another order.

    Args:
        file: with the output SCORES, float32 [N, K, C].
        order: for each class of the result, its position in the file.
        heads: whether the file holds heads alone, so that the new nodes belong to these.
    """
    if list(order) == sorted(order):
        return file
    model = onnx.load_from_string(file)
    before = _free(model, (HEAD_PREFIX if heads else OURS) + "scores_before")
    for node in model.graph.node:
        for names in (node.input, node.output):
            renamed = [before if name == SCORES else name for name in names]
            del names[:]
            names.extend(renamed)
    positions = f"{before}_order"
    model.graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), positions))
    model.graph.node.append(
        helper.make_node("Gather", [before, positions], [SCORES], f"{before}_ordered", axis=2)
    )
    return canonical(model.SerializeToString())


def _free(model: onnx.ModelProto, name: str) -> str:
    """Return a name that no tensor of a model has: the given one, or with a number."""
    taken, number = {output for node in model.graph.node for output in node.output}, 1
    chosen = name
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    return chosen
