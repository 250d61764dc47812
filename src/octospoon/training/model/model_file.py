"""Assemble a backbone and a head into one self-describing ONNX file, and take such a file apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.activation import spread
from octospoon.domain.model_spec import (
    BOXES,
    EMBEDDING,
    FLOOR,
    HEAD_PREFIX,
    INPUT,
    PROBABILITIES,
    SCORES,
    SIGMOID,
    SOFTMAX,
    ModelSpec,
)
from octospoon.training.model import starter

if TYPE_CHECKING:
    import numpy.typing as npt


def starter_model() -> bytes:
    """Return the cold-start model: the scattering backbone, version 0, no head."""
    backbone = starter.build()
    return assemble(backbone, None, backbone_spec(backbone, starter.RESIZE))


def backbone_spec(backbone: bytes, resize: str) -> ModelSpec:
    """Return the description of a backbone as a cold-start model, with the sizes from its graph.

    Raises:
        BadModel: the input is not uint8 [N, H, W, 3] or the output not [N, D], with fixed H, W and D.
    """
    graph = onnx.load_from_string(backbone).graph
    shapes = {value.name: _shape(value) for value in (*graph.input, *graph.output)}
    image, embedding = shapes.get(INPUT, []), shapes.get(EMBEDDING, [])
    if len(image) != 4 or image[3] != 3 or len(embedding) != 2:
        raise BadModel(f"the backbone maps {shapes}: it must map {INPUT} [N, H, W, 3] to {EMBEDDING} [N, D]")
    spec = ModelSpec((), image[1], image[2], embedding[1], resize, sha256(backbone), 0)
    spec.check()
    return spec


def detector_spec(
    detector: bytes, resize: str, classes: tuple[str, ...], heads: bytes | None = None
) -> ModelSpec:
    """Return the description of a graph that predicts boxes, as version 0, with the sizes from the graph.

    A graph from elsewhere is its own backbone: `assemble` makes a model of it without a head.

    Args:
        detector: an ONNX file with the output EMBEDDING, and with BOXES and SCORES unless `heads` has them.
        resize: the resize rule.
        classes: C class names, in the order of the scores.
        heads: an ONNX file with the outputs BOXES and SCORES; None without any.

    Raises:
        BadModel: the outputs are not those of the contract, or do not fit the classes.
    """
    spec = backbone_spec(detector, resize)
    shapes = {value.name: _shape(value) for value in onnx.load_from_string(heads or detector).graph.output}
    boxes, scores = shapes.get(BOXES, []), shapes.get(SCORES, [])
    if boxes[1:] != [*boxes[1:2], 4] or scores[1:] != [*boxes[1:2], len(classes)]:
        raise BadModel(
            f"the detector's outputs are {shapes}: they must be {BOXES} [N, K, 4] and {SCORES} [N, K, "
            f"{len(classes)}] for the classes {', '.join(classes)}"
        )
    spec = replace(spec, classes=classes, boxes=boxes[1])
    spec.check()
    return spec


def sha256(data: bytes) -> str:
    """Return the sha256 of a file, in hex."""
    return hashlib.sha256(data).hexdigest()


def head_file(weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], spec: ModelSpec) -> bytes:
    """Return the head alone as ONNX: ``embedding`` float32 [N, D] -> ``probabilities`` float32 [N, C].

    Args:
        weights: float32 [D, C].
        bias: float32 [C].
        spec: the file's metadata.
    """
    dim, classes = weights.shape
    values = {
        "weights": weights,
        "bias": bias,
        "kept": np.array([1 - FLOOR], np.float32),
        "spread": np.array([spread(spec.activation, classes)], np.float32),
    }
    constants = [numpy_helper.from_array(value, HEAD_PREFIX + name) for name, value in values.items()]
    nodes = [
        _node("Gemm", [EMBEDDING, HEAD_PREFIX + "weights", HEAD_PREFIX + "bias"], HEAD_PREFIX + "logits"),
        _activation(several=spec.activation == SIGMOID),
        _node("Mul", [HEAD_PREFIX + spec.activation, HEAD_PREFIX + "kept"], HEAD_PREFIX + "scaled"),
        _node("Add", [HEAD_PREFIX + "scaled", HEAD_PREFIX + "spread"], PROBABILITIES),
    ]
    embedding = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", dim])
    graph = helper.make_graph(nodes, "head", [embedding], [_probabilities(classes)], constants)
    opset = [helper.make_opsetid("", starter.OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=starter.IR_VERSION, producer_name="octospoon"
    )
    return _serialise(model, spec)


def assemble(backbone: bytes, head: bytes | None, spec: ModelSpec) -> bytes:
    """Return a model file with the outputs of backbone and head, or the embedding alone without a head.

    A head reads the backbone's embedding, or its feature maps by their names. A detector from elsewhere has
    no head of its own.

    Equal arguments give equal bytes, and `extract_backbone` returns the bytes of the backbone.

    Raises:
        BadModel: the spec contradicts the files.
    """
    spec.check()
    if spec.has_head != (head is not None) and not spec.boxes:
        raise BadModel("a model has classes if and only if it has a head, or predicts boxes")
    model = onnx.load_from_string(backbone)
    if head is not None:
        layer = onnx.load_from_string(head).graph
        model.graph.node.extend(layer.node)
        model.graph.initializer.extend(layer.initializer)
        model.graph.output.extend(layer.output)
    return _serialise(model, spec)


def extract_backbone(model: bytes) -> bytes:
    """Return the backbone that a model file was assembled from.

    Raises:
        BadModel: the sha256 of the extracted backbone is not the one in the file's metadata.
    """
    proto = onnx.load_from_string(model)
    named = read_spec(model).backbone
    computed = {
        name for node in proto.graph.node if node.name.startswith(HEAD_PREFIX) for name in node.output
    }
    for field in (proto.graph.node, proto.graph.initializer):
        _keep(field, [item for item in field if not item.name.startswith(HEAD_PREFIX)])
    _keep(proto.graph.output, [value for value in proto.graph.output if value.name not in computed])
    del proto.metadata_props[:]
    backbone: bytes = proto.SerializeToString(deterministic=True)
    if sha256(backbone) != named:
        raise BadModel(
            f"the model's backbone is {sha256(backbone)}, its metadata says {named}: it was not assembled by "
            "octospoon, import it again with `octospoon model import`"
        )
    return backbone


def canonical(backbone: bytes) -> bytes:
    """Return an imported backbone in the form that `assemble` needs: no metadata, canonical serialisation."""
    proto = onnx.load_from_string(backbone)
    del proto.metadata_props[:]
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def renumbered(file: bytes, version: int) -> bytes:
    """Return a model or head file with another version number and no other change."""
    return _serialise(onnx.load_from_string(file), replace(read_spec(file), version=version))


def extract_head(model: bytes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return weights float32 [D, C] and bias float32 [C] of a model file with a head.

    Raises:
        BadModel: the file was not assembled by octospoon.
    """
    weights = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(model).graph.initializer
    }
    try:
        return weights[HEAD_PREFIX + "weights"], weights[HEAD_PREFIX + "bias"]
    except KeyError as error:
        raise BadModel(f"the model has classes, but not the head that octospoon makes: {error}") from error


def read_spec(model: bytes) -> ModelSpec:
    """Read a model file's own description.

    Raises:
        BadModel: it is missing or wrong.
    """
    props = onnx.load_from_string(model).metadata_props
    return ModelSpec.from_metadata({prop.key: prop.value for prop in props})


def _activation(*, several: bool) -> onnx.NodeProto:
    if several:
        return _node("Sigmoid", [HEAD_PREFIX + "logits"], HEAD_PREFIX + SIGMOID)
    # on a matrix, axis 1 means the same in every opset
    return _node("Softmax", [HEAD_PREFIX + "logits"], HEAD_PREFIX + SOFTMAX, axis=1)


def _node(op: str, inputs: list[str], output: str, **attributes: int) -> onnx.NodeProto:
    name = output if output.startswith(HEAD_PREFIX) else HEAD_PREFIX + output
    return helper.make_node(op, inputs, [output], name, **attributes)


def _probabilities(classes: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", classes])


def _serialise(model: onnx.ModelProto, spec: ModelSpec) -> bytes:
    helper.set_model_props(model, spec.to_metadata())
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise BadModel(f"the model is not valid ONNX: {error}") from error
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _keep(field: list[object], kept: list[object]) -> None:
    copies = list(kept)
    del field[:]
    field.extend(copies)


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
