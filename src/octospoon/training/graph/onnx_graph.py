"""Bring imported ONNX graphs into a plain form: no functions, no sparse constants, no name clashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, inliner, numpy_helper

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

THEIRS = "net/"
"""Prefix of every name of an imported graph."""
_IR_VERSION = 4
OLDEST = 7
"""The oldest opset that is accepted: earlier opsets define broadcasting differently."""
_FLOATS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")


def opset(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operator set that a model uses, or 0 if it names none."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in plain form, with the prefix THEIRS before every name.

    Raises:
        BadModel: the file holds no graph, or its operators are too old.
    """
    if not model.graph.node:
        raise BadModel("the file holds no ONNX graph: export the model again")
    if opset(model) < OLDEST:
        raise BadModel(f"the model uses opset {opset(model)}: export it with opset {OLDEST} or newer")
    made = onnx.ModelProto()
    made.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    del made.training_info[:]
    # before this IR version every constant had to be an input too
    made.ir_version = max(made.ir_version, _IR_VERSION)
    for graph in _all_graphs(made.graph):
        _make_dense(graph)
        _rename(graph)
        # the recorded shapes would contradict another batch size
        del graph.value_info[:], graph.quantization_annotation[:]
        if graph is not made.graph:
            _forget_shapes(graph)
    _hoist(made.graph)
    return made


def _all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the graphs of its branches and loops, to any depth."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for part in (*inner, *attribute.graphs):
                yield from _all_graphs(part)


def _make_dense(graph: onnx.GraphProto) -> None:
    for sparse in graph.sparse_initializer:
        graph.initializer.append(_dense(sparse, sparse.values.name))
    del graph.sparse_initializer[:]
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "sparse_value":
                tensor = _dense(attribute.sparse_tensor, "")
                attribute.CopyFrom(helper.make_attribute("value", tensor))


def _dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
    values, where = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    whole = np.zeros(tuple(sparse.dims), values.dtype)
    if where.ndim > 1:
        whole[tuple(where.T)] = values
    else:
        whole.reshape(-1)[where] = values
    return numpy_helper.from_array(whole, name)


def _rename(graph: onnx.GraphProto) -> None:
    """Put THEIRS before every name, in all scopes, so that branches still find the tensors outside."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = THEIRS + value.name
    for node in graph.node:
        node.name = THEIRS + node.name if node.name else ""
        for names in (node.input, node.output):
            # an empty name stands for an omitted input or output
            renamed = [THEIRS + name if name else "" for name in names]
            del names[:]
            names.extend(renamed)


def _forget_shapes(graph: onnx.GraphProto) -> None:
    """Remove the shapes of a branch's or loop's values, except scalars such as a loop counter."""
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.ClearField("shape")


def _hoist(graph: onnx.GraphProto) -> None:
    """Replace Constant nodes that hold weights by initializers, because some exporters write weights so."""
    kept = []
    for node in graph.node:
        tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type != "Constant" or tensor is None or not _is_weight(tensor):
            kept.append(node)
            continue
        graph.initializer.append(tensor)
        graph.initializer[-1].name = node.output[0]
    replace_nodes(graph, kept)


def _is_weight(tensor: onnx.TensorProto) -> bool:
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    return kind in _FLOATS and int(np.prod(tensor.dims, dtype=np.int64)) > 1


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Replace the nodes of a graph; the new nodes may come from the graph itself."""
    copies = onnx.GraphProto()
    copies.node.extend(nodes)
    del graph.node[:]
    graph.node.extend(copies.node)


def prune(graph: onnx.GraphProto) -> None:
    """Remove every node and constant that the outputs do not need."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(read(node))
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    replace_nodes(graph, kept[::-1])
    copies = onnx.GraphProto()
    copies.initializer.extend(constants)
    del graph.initializer[:]
    graph.initializer.extend(copies.initializer)


def read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, including inside its branches and loops."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for step in inner.node:
                names |= read(step)
            names |= {value.name for value in inner.output}
    return names - {""}


def made_by(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """Return the node that computes each tensor, by the tensor's name."""
    return {name: node for node in graph.node for name in node.output if name}


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:  # noqa: ANN401  any ONNX type
    """Return the value of a node's attribute, or the default if the node lacks it."""
    return next(
        (helper.get_attribute_value(attribute) for attribute in node.attribute if attribute.name == name),
        default,
    )


def shape(value: onnx.ValueInfoProto) -> list[int] | None:
    """Return the size of each axis of a tensor, 0 for an axis without a fixed size; None without a shape."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return [max(0, dim.dim_value) for dim in value.type.tensor_type.shape.dim]


def run(model: onnx.ModelProto, feed: dict[str, npt.NDArray[Any]], output: str) -> npt.NDArray[Any]:
    """Run a model and return one output; raises BadModel if it cannot be loaded or fails."""
    return run_all(model, feed, [output])[0]


def run_all(
    model: onnx.ModelProto, feed: dict[str, npt.NDArray[Any]], outputs: list[str]
) -> list[npt.NDArray[Any]]:
    """Run a model and return some outputs; raises BadModel if it cannot be loaded or fails."""
    try:
        data = model.SerializeToString()
    except ValueError as error:  # protobuf cannot write more than 2 GB
        raise BadModel("the model is larger than 2 GB: use a smaller model") from error
    return run_session(open_session(data), outputs, feed)
