"""Small networks in every form that exporters are known to write, and their outputs by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.model_spec import FLOOR
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("a", "b", "c")
RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
KERNEL = RNG.normal(size=(8, 3, 3, 3)).astype(np.float32)
WEIGHTS = (3 * RNG.normal(size=(8, 3))).astype(np.float32)
BIAS = RNG.normal(size=3).astype(np.float32)
ANY = ("b", 3, 24, 24)
ONE = (1, 3, 24, 24)
SCALE, SHIFT = np.linspace(1, 2, 8, dtype=np.float32), np.linspace(-1, 1, 8, dtype=np.float32)
EXTRA = {
    "scale": SCALE,
    "shift": SHIFT,
    "tokens": np.array([0, 121, 8]),
    "grid": np.array([0, 11, 11, 8]),
    "square": np.random.default_rng(1).normal(size=(8, 8)).astype(np.float32),
}
SHAPES = {
    "one": np.array([1, 8]),
    "rest": np.array([1, -1]),
    "rows": np.array([1, 8, 121]),
    "row": np.array([1, -1]),
    "four": np.array([1, 1, 1, 1]),
    "token": np.full((1, 8, 1), 0.5, np.float32),
}


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node; names are separated by blanks, and `_` is an input that is left out."""
    names = [["" if name == "_" else name for name in part.split()] for part in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def model(
    nodes: list[onnx.NodeProto],
    outputs: str = "out",
    shape: tuple[Any, ...] | None = ANY,
    opset: int = 17,
    kind: int = TensorProto.FLOAT,
    functions: tuple[onnx.FunctionProto, ...] = (),
    **constants: Any,
) -> onnx.ModelProto:
    """Return a model with the weights that the nodes read, and any further constants."""
    known = {"kernel": KERNEL, "w": WEIGHTS, "bias": BIAS} | constants
    floats = helper.tensor_dtype_to_np_dtype(kind) if kind != TensorProto.UINT8 else np.float32
    tensors = [
        numpy_helper.from_array(np.asarray(value, floats if name in ("kernel", "w", "bias") else None), name)
        for name, value in known.items()
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", kind, None if shape is None else list(shape))],
        [onnx.ValueInfoProto(name=name) for name in outputs.split()],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(f.domain, 1) for f in functions)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def trunk(image: str = "input") -> list[onnx.NodeProto]:
    """Return nodes from NCHW to `maps` [N, 8, 11, 11] and `pooled` [N, 8]."""
    return [*maps(image), node("GlobalAveragePool", "maps", "gap"), node("Flatten", "gap", "pooled")]


def maps(image: str = "input") -> list[onnx.NodeProto]:
    return [node("Conv", f"{image} kernel", "conv", strides=[2, 2]), node("Relu", "conv", "maps")]


def nhwc(nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Return nodes for NHWC input, followed by the given nodes, which begin at `nchw`."""
    return [node("Transpose", "input", "nchw", perm=[0, 3, 1, 2]), *nodes]


def linear() -> list[onnx.NodeProto]:
    return [*trunk(), node("Gemm", "pooled w bias", "z")]


def plain(
    made: onnx.ModelProto, *, last: bool = False, bgr: bool = False, output: str | None = None
) -> np.ndarray:
    """Return onnxruntime's output for each image alone."""
    values = IMAGES[..., ::-1] if bgr else IMAGES
    pixels = values.astype(np.float32) / 255
    pixels = np.ascontiguousarray(pixels if last else pixels.transpose(0, 3, 1, 2))
    if output:
        made.graph.output.append(onnx.ValueInfoProto(name=output))
    session = ort.InferenceSession(made.SerializeToString())
    outputs = [session.run(None, {"input": image[np.newaxis]})[-1 if output else 0] for image in pixels]
    return np.stack([np.squeeze(values, 0) if values.shape[0] == 1 else values for values in outputs])


def imported_outputs(tmp_path: Path, made: onnx.ModelProto, options: Options | None = None) -> np.ndarray:
    """Return the embeddings of an imported model, or the probabilities where it has classes."""
    options = options or Options(Pixels())
    onnx.save(made, tmp_path / "theirs.onnx")
    fitted = check_import.fitted(check_import.read(tmp_path / "theirs.onnx", options), options.classes)
    session = ort.InferenceSession(fitted.model)
    together = session.run(None, {"image": IMAGES})
    alone = [session.run(None, {"image": image[np.newaxis]}) for image in IMAGES]
    for i, part in enumerate(together):
        assert np.allclose(part, np.concatenate([outputs[i] for outputs in alone]), atol=1e-4)
    return together[1] if options.classes else together[0]


def headed(**pixels: Any) -> Options:
    return Options(Pixels(**pixels), classes=NAMES)


def answers(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities as octospoon writes them."""
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    return (1 - FLOOR) * soft + FLOOR / 3
