"""Put two or more backbones into one graph: one input, one embedding with the parts behind each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.graph import onnx_graph
from octospoon.training.graph.parts import SCALED
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Part:
    """One of the backbones.

    Attributes:
        name: goes before the names of its tensors; no other part has it.
        backbone: an ONNX file, uint8 [N, H, W, 3] -> float32 [N, D], with the other parts' H and W.
        scale: factor of its embedding.
    """

    name: str
    backbone: bytes
    scale: float


def side_by_side(parts: Sequence[Part]) -> bytes:
    """Return a backbone whose embedding holds those of the parts, each times its scale.

    Raises:
        BadModel: the parts take images of different sizes, or have operators of different versions.
    """
    models = [onnx.load_from_string(part.backbone) for part in parts]
    sizes = {tuple(onnx_graph.shape(model.graph.input[0]) or ()) for model in models}
    opsets = {onnx_graph.opset(model) for model in models}
    if len(sizes) != 1 or len(opsets) != 1:
        raise BadModel(f"the parts differ in their input {sorted(sizes)} or operators {sorted(opsets)}")
    nodes, constants, scaled = [], [], []
    for part, model in zip(parts, models, strict=True):
        graph = _prefixed(model, f"{part.name}/").graph
        factor, output = f"{part.name}/scale", f"{part.name}{SCALED}"
        constants += [*graph.initializer, numpy_helper.from_array(np.array([part.scale], np.float32), factor)]
        nodes += [*graph.node, helper.make_node("Mul", [graph.output[0].name, factor], [output], output)]
        scaled.append(output)
    nodes.append(helper.make_node("Concat", scaled, [EMBEDDING], EMBEDDING, axis=1))
    dim = sum((onnx_graph.shape(model.graph.output[0]) or [0, 0])[1] for model in models)
    embedding = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", dim])
    body = helper.make_graph(nodes, "side_by_side", [models[0].graph.input[0]], [embedding], constants)
    opset = [helper.make_opsetid("", opsets.pop())]
    version = max(model.ir_version for model in models)
    whole = helper.make_model(body, opset_imports=opset, ir_version=version, producer_name="octospoon")
    onnx.checker.check_model(whole, full_check=True)
    return model_file.canonical(whole.SerializeToString())


def _prefixed(model: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """Return a model in which every name but that of the input has a prefix."""
    renamed = compose.add_prefix(model, prefix, rename_inputs=False)
    for node in renamed.graph.node:
        for i, name in enumerate(node.input):
            if name == prefix + INPUT:
                node.input[i] = INPUT
    return renamed
