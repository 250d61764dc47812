"""Make a graph that was exported with a fixed batch size accept any batch size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.graph import onnx_graph
from octospoon.training.graph.constants import Constants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

EMBEDDINGS = {EMBEDDING: (-1,)}
"""The output of a backbone, and the shape of its value for one image."""
OURS = "octospoon_input/"
"""Prefix of every name that is added to an imported graph."""
_SCAN_SINCE, _CONVERTED_TO = 9, 13
_TRIED = 3


def sample(height: int, width: int, count: int = _TRIED) -> npt.NDArray[np.uint8]:
    """Return synthetic images, uint8 [count, H, W, 3]: edges and gradients, coarse noise, fine noise."""
    y, x = np.mgrid[:height, :width]
    disc = (x / width - 0.4) ** 2 + (y / height - 0.5) ** 2 < 0.06
    drawn = np.stack([255 * x / width, 255 * y / height, np.where(disc, 230, 40)], axis=-1)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 7, 3))[5 * y // height, 7 * x // width]
    fine = rng.integers(0, 256, (height, width, 3))
    images = np.stack([drawn, coarse, fine]).astype(np.uint8)
    return images[np.arange(count) % _TRIED]


def of_any_size(
    whole: onnx.ModelProto,
    batch: int,
    images: npt.NDArray[np.uint8],
    outputs: Mapping[str, Sequence[int]] = EMBEDDINGS,
) -> tuple[onnx.ModelProto, npt.NDArray[np.float32], str]:
    """Return a backbone that accepts any batch size.

    The result is checked: each image has the outputs that the original graph gives it.

    Args:
        whole: the graph, which maps INPUT to the outputs and runs on `batch` images at a time.
        batch: the batch size that the file fixes; 0 if it fixes none.
        images: test images, uint8 [N, H, W, 3].
        outputs: names of the outputs, the embedding first, with the shape of the value for one image.

    Returns:
        The backbone, the embeddings of the test images (float32 [N, D]), and a description of the change,
        which is empty if nothing changed.

    Raises:
        BadModel: the graph works only with its own batch size.
    """
    truth = _as_exported(whole, max(1, batch), images, list(outputs))
    embeddings = truth[0]
    if batch == 0 and _rows(whole, images) == len(embeddings):
        # the check after every import refuses a model whose embeddings depend on the rest of the batch
        return whole, embeddings, ""
    for made, what in _candidates(whole, max(1, batch), outputs):
        if _agrees(made, images, truth, list(outputs)):
            return made, embeddings, what
    raise BadModel(
        f"the model works only with a batch size of {max(1, batch)}: export it with a dynamic batch size "
        "(torch.onnx.export: dynamic_axes or dynamic_shapes for axis 0)"
    )


def _candidates(
    whole: onnx.ModelProto, batch: int, outputs: Mapping[str, Sequence[int]]
) -> Iterator[tuple[onnx.ModelProto, str]]:
    yield whole, "" if batch == 1 else f"its fixed batch size of {batch} was removed"
    yield freed(whole, batch), f"its Reshape nodes for a batch size of {batch} now accept any"
    if batch == 1 and (scanned := one_by_one(whole, outputs)) is not None:
        yield scanned, "it takes one image at a time, so the images of a batch are processed one by one"


def _as_exported(
    whole: onnx.ModelProto, batch: int, images: npt.NDArray[np.uint8], names: list[str]
) -> list[npt.NDArray[np.float32]]:
    """Return the outputs, each float32 [N, .], computed in batches of the size that the file fixes."""
    parts = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        filled = part[np.arange(batch) % len(part)]
        outputs = onnx_graph.run_all(whole, {INPUT: filled}, names)
        for output in outputs:
            if len(output) != batch:
                raise BadModel(
                    f"the model returns shape {list(output.shape)} for {batch} images: export it with a "
                    "dynamic batch size"
                )
        parts.append([_flat(output)[: len(part)] for output in outputs])
    return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def _flat(output: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return an output as float32 [N, .]."""
    # boxes are sorted: rounding may change the order of those with equal scores
    flat = np.sort(output, axis=1) if output.ndim == 3 else output
    return flat.reshape(len(output), math.prod(output.shape[1:]))


def _rows(model: onnx.ModelProto, images: npt.NDArray[np.uint8]) -> int:
    try:
        return len(onnx_graph.run(model, {INPUT: images}, EMBEDDING))
    except BadModel:
        return -1


def _agrees(
    model: onnx.ModelProto,
    images: npt.NDArray[np.uint8],
    truth: list[npt.NDArray[np.float32]],
    names: list[str],
) -> bool:
    try:
        together = onnx_graph.run_all(model, {INPUT: images}, names)
        alone = onnx_graph.run_all(model, {INPUT: images[:1]}, names)
    except BadModel:
        return False
    return all(
        same(_flat(whole), expected) and same(_flat(single), expected[:1], expected)
        for whole, single, expected in zip(together, alone, truth, strict=True)
    )


def same(
    numbers: npt.NDArray[np.floating],
    expected: npt.NDArray[np.floating],
    scale: npt.NDArray[np.floating] | None = None,
    share: float = 0.01,
) -> bool:
    """Return True if numbers are equal except for rounding.

    The tolerance follows the spread between images, so that a large constant part cannot hide a difference.

    Args:
        numbers: float [N, D].
        expected: float [N, D].
        scale: float [M, D], values of different images that set the tolerance; `expected` by default.
        share: the tolerance, as a share of the largest spread between images.
    """
    reference = expected if scale is None else scale
    if numbers.shape != expected.shape:
        return False
    size, spread = float(np.abs(reference).max()), float(np.ptp(reference, axis=0).max())
    return bool(np.abs(numbers - expected).max() <= share * spread + 1e-5 * size)


def freed(whole: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Return the model with Reshape nodes that keep the batch size of their input."""
    made = onnx.ModelProto()
    made.CopyFrom(whole)
    constants = Constants(made)
    for i, node in enumerate(made.graph.node):
        wanted = constants.value(node.input[1]) if node.op_type == "Reshape" else None
        if wanted is None or node.input[0] in constants or not wanted.size or wanted.flat[0] != batch:
            continue
        if 0 in wanted and onnx_graph.attribute(node, "allowzero", 0):
            continue
        opened = wanted.copy()
        opened.flat[0] = 0
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.input[1] = f"{OURS}shape{i}"
        made.graph.initializer.append(numpy_helper.from_array(opened, node.input[1]))
    onnx_graph.prune(made.graph)
    return made


def one_by_one(
    whole: onnx.ModelProto, outputs: Mapping[str, Sequence[int]] = EMBEDDINGS
) -> onnx.ModelProto | None:
    """Return the model inside a Scan over the images, or None if its opset is too old to convert.

    Args:
        whole: maps INPUT to the outputs, for one image at a time.
        outputs: names of the outputs, with the shape of the value for one image.
    """
    model = _newer(whole)
    if model is None:
        return None
    made = onnx.ModelProto()
    made.CopyFrom(model)
    image = made.graph.input[0]
    _, height, width, _ = onnx_graph.shape(image) or [0, 0, 0, 0]
    shapes: dict[str, Sequence[int]] = {"one": [1, height, width, 3]}
    shapes |= {_row(name): shape for name, shape in outputs.items()}
    body = helper.make_graph(
        [
            helper.make_node("Reshape", [f"{OURS}picture", f"{OURS}one"], [f"{OURS}batch"], f"{OURS}batch"),
            *_reading(made.graph, INPUT, f"{OURS}batch"),
            *(
                helper.make_node("Reshape", [name, OURS + _row(name)], [_answer(name)], _answer(name))
                for name in outputs
            ),
        ],
        "one_picture",
        [helper.make_tensor_value_info(f"{OURS}picture", TensorProto.UINT8, [height, width, 3])],
        [helper.make_tensor_value_info(_answer(name), TensorProto.FLOAT, None) for name in outputs],
        [
            *made.graph.initializer,
            *(numpy_helper.from_array(np.array(value), OURS + name) for name, value in shapes.items()),
        ],
    )
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.append(
        helper.make_node("Scan", [INPUT], list(outputs), f"{OURS}scan", body=body, num_scan_inputs=1)
    )
    return made


def _answer(name: str) -> str:
    # a file that is imported again must have the same bytes: these names stay as they were
    return f"{OURS}answer" if name == EMBEDDING else f"{OURS}answer_{name}"


def _row(name: str) -> str:
    return "row" if name == EMBEDDING else f"row_{name}"


def _reading(graph: onnx.GraphProto, old: str, new: str) -> list[onnx.NodeProto]:
    for node in graph.node:
        names = [new if name == old else name for name in node.input]
        del node.input[:]
        node.input.extend(names)
    return list(graph.node)


def _newer(whole: onnx.ModelProto) -> onnx.ModelProto | None:
    if onnx_graph.opset(whole) >= _SCAN_SINCE:
        return whole
    return converted(whole, _CONVERTED_TO)


def converted(model: onnx.ModelProto, opset: int) -> onnx.ModelProto | None:
    """Return the model converted to another opset, or None if the onnx package cannot convert it."""
    try:
        return version_converter.convert_version(model, opset)
    except Exception:  # noqa: BLE001  RuntimeError, and types from C++ code
        return None
