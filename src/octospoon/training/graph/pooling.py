"""Make an embedding of feature maps or tokens [N, D], and refuse to guess the axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT, LAYOUTS, TOKENS
from octospoon.training.graph import layout, onnx_graph
from octospoon.training.graph.batching import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from octospoon.training.graph.constants import Constants


@dataclass(frozen=True, slots=True)
class Pooling:
    """The conversion of a tensor into an embedding.

    Attributes:
        how: ``none``, ``flatten``, ``maps``, ``mean``, ``first``, or ``row`` if the tensor has no batch axis.
        description: the same in words, for people.
        channels: the channel axis of feature maps.
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
        model: the graph that computes the tensor.
        constants: the constants of the model.
        tensor: the name of the tensor.
        shape: the shape of the tensor, batch axis first.
        pool: one of POOLS; empty to infer it from the graph.

    Raises:
        BadRequest: the graph leaves it open, or `pool` does not fit the tensor.
        BadModel: the tensor cannot become an embedding.
    """
    name, axes = tensor.removeprefix(onnx_graph.THEIRS), list(shape[1:])
    if not axes and shape and shape[0] > 1:
        return Pooling("row", f"the tensor {name!r} [{shape[0]}] of one image")
    shown = f"the tensor {name!r} [N, {', '.join(map(str, axes))}]"
    if max(axes, default=0) < 2:
        raise BadModel(
            f"{shown} holds one number for each image, not an embedding: name another tensor with --output"
        )
    if max(axes) == math.prod(axes):
        return Pooling("none" if len(axes) == 1 else "flatten", f"{shown} as it is")
    wanted = {2: TOKENS, 3: LAYOUTS}.get(len(axes))
    if wanted is None:
        raise BadModel(
            f"{shown} has too many axes: an embedding is [N, D], feature maps [N, C, H, W] or [N, H, W, C], "
            "or tokens [N, T, D]; name another tensor with --output"
        )
    if pool and pool not in wanted:
        raise BadRequest(f"--pool {pool} does not fit {shown}: use {' or '.join(wanted)}")
    return _tokens(shown, axes, pool) if wanted is TOKENS else _maps(model, constants, tensor, shown, pool)


def _tokens(shown: str, axes: list[int], pool: str) -> Pooling:
    if not pool:
        side = math.isqrt(axes[0] - 1)
        advice = (
            "the first looks like a class token"
            if side * side == axes[0] - 1
            else "there is no sign of a class token"
        )
        raise BadRequest(
            f"{shown} holds {axes[0]} tokens of {axes[1]} numbers ({advice}): choose the embedding with "
            "--pool first or --pool mean, or name another tensor with --output"
        )
    what = "its first token" if pool == "first" else f"the mean of its {axes[0]} tokens"
    return Pooling(pool, f"{what}, of {shown}")


def _maps(model: onnx.ModelProto, constants: Constants, tensor: str, shown: str, pool: str) -> Pooling:
    axis = layout.channels_of_maps(model.graph, constants, tensor)
    if pool:
        axis = 1 if pool == "nchw" else 3
    if axis not in (1, 2, 3):
        raise BadRequest(
            f"{shown} holds feature maps, and the graph does not show which axis holds the channels: "
            "give --pool nchw or --pool nhwc, or name another tensor with --output"
        )
    order = ["height", "width"]
    order.insert(axis - 1, "channels")
    return Pooling("maps", f"the mean over height and width of {shown} ({', '.join(order)})", axis)


def ended(model: onnx.ModelProto, tensor: str, pooling: Pooling, also: Sequence[str] = ()) -> onnx.ModelProto:
    """Return the model with the embedding as its first output, without unused nodes.

    Args:
        model: the graph that computes the tensor.
        tensor: the name of the tensor.
        pooling: how it becomes the embedding.
        also: names of float32 tensors that become further outputs.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    steps = list(_steps(pooling))
    # cast to float32 first: some operators do not support float16 or float64
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
    for name in (EMBEDDING, *also):
        made.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    onnx_graph.prune(made.graph)
    return made


def values_of(model: onnx.ModelProto, tensor: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the values of a tensor for uint8 [N, H, W, 3], one batch of the model's own size.

    Raises:
        BadModel: a value is not finite.
    """
    whole = ended(model, tensor, AS_IT_IS)
    values: npt.NDArray[np.float32] = onnx_graph.run(whole, {INPUT: images}, EMBEDDING)
    if not np.isfinite(values).all():
        name = tensor.removeprefix(onnx_graph.THEIRS)
        raise BadModel(f"the tensor {name!r} has NaN or infinite numbers for an image")
    return values


def _steps(pooling: Pooling) -> Iterator[tuple[str, list[int] | None, dict[str, object]]]:
    """Yield each operator with its constant input and its attributes."""
    if pooling.how == "maps":
        if pooling.channels != 1:
            others = [axis for axis in (1, 2, 3) if axis != pooling.channels]
            yield "Transpose", None, {"perm": [0, pooling.channels, *others]}
        yield "GlobalAveragePool", None, {}
    elif pooling.how == "mean":
        # treated as feature maps of width 1, because ReduceMean has another form from opset 18 on
        yield "Transpose", None, {"perm": [0, 2, 1]}
        yield "GlobalAveragePool", None, {}
    elif pooling.how == "first":
        yield "Gather", [0], {"axis": 1}
    elif pooling.how == "row":
        yield "Reshape", [1, -1], {}
        return
    if pooling.how != "none":
        yield "Flatten", None, {}
