"""Makes an embedding [N, D] of feature maps or tokens, and never by the wrong axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, LAYOUTS, TOKENS
from octospoon.training.graph import layout, onnx_graph
from octospoon.training.graph.batching import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.training.graph.constants import Constants


@dataclass(frozen=True, slots=True)
class Pooling:
    """What becomes of a tensor.

    Attributes:
        how: ``none``, ``flatten``, ``maps``, ``mean``, ``first``, or ``row`` where the number of pictures is
            no axis of the tensor.
        description: the same in words.
        channels: the channels' axis of maps.
    """

    how: str
    description: str
    channels: int = 1


AS_IT_IS = Pooling("none", "as it is")


def choose(
    model: onnx.ModelProto, constants: Constants, tensor: str, shape: Sequence[int], pool: str
) -> Pooling:
    """Return how a tensor becomes an embedding.

    Args:
        model: the graph that makes it.
        constants: of the model.
        tensor: its name.
        shape: of the tensor, the number of pictures first.
        pool: one of POOLS; empty to take it from the graph.

    Raises:
        BadRequest: the graph does not tell, or `pool` does not go together with it.
        BadModel: nothing can be made of it.
    """
    name, axes = tensor.removeprefix(onnx_graph.THEIRS), list(shape[1:])
    if not axes and shape and shape[0] > 1:
        return Pooling("row", f"the tensor {name!r} [{shape[0]}] of one picture")
    shown = f"the tensor {name!r} [N, {', '.join(map(str, axes))}]"
    if max(axes, default=0) < 2:
        raise BadModel(f"{shown} holds one number for a picture, no embedding: name another with --output")
    if max(axes) == math.prod(axes):
        return Pooling("none" if len(axes) == 1 else "flatten", f"{shown} as it is")
    wanted = {2: TOKENS, 3: LAYOUTS}.get(len(axes))
    if wanted is None:
        raise BadModel(
            f"{shown} has too many axes: an embedding is [N, D], feature maps [N, C, H, W] or [N, H, W, C], "
            "or tokens [N, T, D]; name another one with --output"
        )
    if pool and pool not in wanted:
        raise BadRequest(f"--pool {pool} does not go together with {shown}: use {' or '.join(wanted)}")
    return _tokens(shown, axes, pool) if wanted is TOKENS else _maps(model, constants, tensor, shown, pool)


def _tokens(shown: str, axes: list[int], pool: str) -> Pooling:
    if not pool:
        side = math.isqrt(axes[0] - 1)
        advice = (
            "the first looks like a class token" if side * side == axes[0] - 1 else "no class token shows"
        )
        raise BadRequest(
            f"{shown} holds {axes[0]} tokens of {axes[1]} numbers ({advice}): say with --pool first or "
            "--pool mean which is the embedding, or name another tensor with --output"
        )
    what = "its first token" if pool == "first" else f"the mean of its {axes[0]} tokens"
    return Pooling(pool, f"{what}, of {shown}")


def _maps(model: onnx.ModelProto, constants: Constants, tensor: str, shown: str, pool: str) -> Pooling:
    axis = layout.channels_of_maps(model.graph, constants, tensor)
    if pool:
        axis = 1 if pool == "nchw" else 3
    if axis not in (1, 2, 3):
        raise BadRequest(
            f"{shown} holds feature maps, and the graph does not tell which axis is that of the "
            "channels: say it with --pool nchw or --pool nhwc, or name another tensor with --output"
        )
    order = ["height", "width"]
    order.insert(axis - 1, "channels")
    return Pooling("maps", f"the mean over height and width of {shown} ({', '.join(order)})", axis)


def ended(model: onnx.ModelProto, tensor: str, pooling: Pooling) -> onnx.ModelProto:
    """Return the model with one output, the embedding, and only what leads to it."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    steps = list(_steps(pooling))
    # floats first: not every operator is there for halves and doubles
    nodes = [("Cast", None, {"to": TensorProto.FLOAT}), *steps]
    last = tensor
    for i, (op, constant, attributes) in enumerate(nodes):
        inputs, output = [last], EMBEDDING if i == len(nodes) - 1 else f"{OURS}{op}"
        if constant is not None:
            inputs.append(f"{OURS}{op}_constant")
            made.graph.initializer.append(numpy_helper.from_array(np.array(constant), inputs[1]))
        name = OURS + (EMBEDDING if output == EMBEDDING else op)
        made.graph.node.append(helper.make_node(op, inputs, [output], name, **attributes))
        last = output
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, None))
    onnx_graph.prune(made.graph)
    return made


def _steps(pooling: Pooling) -> Iterator[tuple[str, list[int] | None, dict[str, object]]]:
    """Yield operators, with the constant and the attributes of each."""
    if pooling.how == "maps":
        if pooling.channels != 1:
            others = [axis for axis in (1, 2, 3) if axis != pooling.channels]
            yield "Transpose", None, {"perm": [0, pooling.channels, *others]}
        yield "GlobalAveragePool", None, {}
    elif pooling.how == "mean":
        # as maps of one column: a ReduceMean is written in another way from opset 18 on
        yield "Transpose", None, {"perm": [0, 2, 1]}
        yield "GlobalAveragePool", None, {}
    elif pooling.how == "first":
        yield "Gather", [0], {"axis": 1}
    elif pooling.how == "row":
        yield "Reshape", [1, -1], {}
        return
    if pooling.how != "none":
        yield "Flatten", None, {}
