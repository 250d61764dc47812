"""Choose the tensor of a detector that becomes the embedding."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from octospoon.training.graph import onnx_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

_CONVOLUTIONS = ("Conv", "ConvInteger", "FusedConv", "QLinearConv")
_ENLARGING = ("ConvTranspose", "Resize", "Upsample")
_DEEP = 8
"""Convolutions that must lie before the tensor: earlier ones see edges and colours alone."""


def deepest(graph: onnx.GraphProto, *, of_queries: bool) -> str:
    """Return the feature maps of a detector that say most about a whole image; empty if none are clear.

    These are the maps that a feature pyramid enlarges first. Without a pyramid, they are what the last
    convolution makes, if its boxes come from queries as in DETR. Otherwise they are the maps with most
    channels that several convolutions read, as for the classes and corners of an SSD.

    Args:
        graph: a detector.
        of_queries: whether its boxes come from queries.
    """
    depth = _depths(graph)
    for node in graph.node:
        if node.op_type in _ENLARGING and depth.get(node.input[0], 0) >= _DEEP:
            return str(node.input[0])
    deep = [node for node in _convolutions(graph) if depth.get(node.output[0], 0) >= _DEEP]
    if of_queries:
        return str(deep[-1].output[0]) if deep else ""
    readers = Counter(node.input[0] for node in _convolutions(graph))
    sizes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    channels = {
        node.input[0]: sizes[node.input[1]][1] * onnx_graph.attribute(node, "group", 1)
        for node in deep
        if readers[node.input[0]] > 1 and node.input[1] in sizes
    }
    return max(channels, key=lambda name: (channels[name], depth[name]), default="")


def _convolutions(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    return (node for node in graph.node if node.op_type in _CONVOLUTIONS)


def _depths(graph: onnx.GraphProto) -> dict[str, int]:
    """Return how many convolutions follow each other before each tensor, on the longest way to it."""
    depth: dict[str, int] = {}
    for node in graph.node:
        before = max((depth.get(name, 0) for name in onnx_graph.read(node)), default=0)
        depth |= dict.fromkeys(node.output, before + (node.op_type in _CONVOLUTIONS))
    return depth
