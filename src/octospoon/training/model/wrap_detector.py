"""Wrap an exported detector, so that it keeps the model contract: embedding, boxes and scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import BOXES, EMBEDDING, INPUT, SCORES
from octospoon.training.graph import batching, feature_map, onnx_graph, pooling, suppression
from octospoon.training.graph.batching import OURS
from octospoon.training.graph.builder import Builder
from octospoon.training.graph.constants import Constants
from octospoon.training.graph.detector import (
    COLUMNS,
    LISTS,
    RAW_BOXES,
    RAW_SCORES,
    ROWS,
    TABLES,
    Detector,
    add_raw,
)
from octospoon.training.graph.onnx_graph import THEIRS
from octospoon.training.graph.preprocessing import Image, Pixels, put_pixels_first
from octospoon.training.model import check_detector, model_file
from octospoon.training.model.recognise import named_classes, recognised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation with which DETR's exporters normalise red, green and blue."""
_DRAWN = 3
_NAMED = 10
_BATCH = "/batch"


class WrappedDetector(NamedTuple):
    """The result of wrapping a detector.

    Attributes:
        file: an ONNX file that keeps the model contract, without metadata.
        classes: names of its classes, in its order.
        resize: the resize rule of its exporter.
        recognised: facts recognised in the file, one line each, for people.
    """

    file: bytes
    classes: tuple[str, ...]
    resize: str
    recognised: tuple[str, ...]


class DetectorOptions(NamedTuple):
    """Facts about a detector that its file does not contain.

    Attributes:
        pixels: the pixel format of its input; mean and std are None for the exporter's usual ones.
        classes: class names in the order of its scores; empty to read them from the file.
        output: name of the tensor that becomes the embedding; empty to choose it by the graph.
        pool: how it becomes an embedding, one of `POOLS`; empty to read it from the graph.
        first_label: number of the first class where labels are numbers; None for the exporter's usual one.
        overlap: of the suppression, see `suppression.Rules`; None for the usual one.
    """

    pixels: Pixels
    classes: tuple[str, ...] = ()
    output: str = ""
    pool: str = ""
    first_label: int | None = None
    overlap: float | None = None


def wrap(model: onnx.ModelProto, options: DetectorOptions) -> WrappedDetector | None:
    """Return a detector that keeps the model contract; None if the model is no detector.

    Its boxes and scores are compared with those that plain onnxruntime and numpy give for drawn images.

    Raises:
        BadRequest: the options do not fit the model, or an option is missing.
        BadModel: the model cannot be wrapped; the message says what to export instead.
    """
    if not _possible(model):
        return None
    classes = options.classes or named_classes(model)
    theirs = _batched(onnx_graph.plain(model))
    detector = _recognised(theirs, options, classes)
    if detector is None:
        return None
    rules = _rules(options, detector)
    pixels, resize = _usual(options.pixels, detector)
    theirs = _current(theirs)
    image, notes = put_pixels_first(theirs, pixels)
    images = batching.sample(image.height, image.width, max(_DRAWN, image.batch))
    expected = check_detector.Reference(model, detector, pixels, image.layout)(images)
    whole, dim, lines = _before_suppression(theirs, detector, options, image, images)
    graph = Builder()
    suppression.suppress(graph, RAW_BOXES, RAW_SCORES, rules)
    _append(whole, graph)
    _declare(whole, dict.fromkeys((RAW_BOXES, RAW_SCORES, BOXES, SCORES)))
    check_detector.check(whole, expected, images, rules)
    _declare(whole, {EMBEDDING: (dim,), BOXES: (rules.most, 4), SCORES: (rules.most, len(classes))})
    size = f"{image.layout}, {pixels.channels}, {image.height}x{image.width}"
    facts = (
        f"input {image.name.removesuffix(_BATCH)!r}: {size}",
        str(detector),
        _listed(classes),
        _shown(rules),
        *lines,
        *notes,
    )
    file = model_file.canonical(whole.SerializeToString())
    return WrappedDetector(file, classes, resize, tuple(line for line in facts if line))


def _before_suppression(
    theirs: onnx.ModelProto,
    detector: Detector,
    options: DetectorOptions,
    image: Image,
    images: npt.NDArray[np.uint8],
) -> tuple[onnx.ModelProto, int, tuple[str, str]]:
    """Return a graph that makes EMBEDDING, RAW_BOXES and RAW_SCORES of any number of images.

    Returns:
        The graph, the length of the embedding, and what was recognised.
    """
    tensor, pooled = _embedding(theirs, options, detector, images[: max(1, image.batch)])
    graph = Builder()
    add_raw(graph, detector, THEIRS, (image.height, image.width))
    _append(theirs, graph)
    ended = pooling.ended(theirs, tensor, pooled, [RAW_BOXES, RAW_SCORES])
    outputs = {EMBEDDING: (-1,), RAW_BOXES: (-1, 4), RAW_SCORES: (-1, detector.classes)}
    whole, embeddings, batch = batching.of_any_size(ended, image.batch, images, outputs)
    lines = (f"embedding: {pooled.description}", f"batch: {batch}" if batch else "")
    return whole, embeddings.shape[1], lines


def _listed(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
    return f"classes: {', '.join(classes[:_NAMED])}{more}"


def _possible(model: onnx.ModelProto) -> bool:
    """Return False for a model whose only output has the shape of a classifier's or a backbone's."""
    if len(model.graph.output) != 1:
        return True
    shape = onnx_graph.shape(model.graph.output[0])
    return shape is None or len(shape) == 3


def _batched(theirs: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of one image [3, H, W] as a model of a batch of one; any other model as it is."""
    inputs = {tensor.name for tensor in theirs.graph.initializer}
    images = [value for value in theirs.graph.input if value.name not in inputs]
    shape = onnx_graph.shape(images[0]) if len(images) == 1 else None
    if shape is None or len(shape) != 3:
        return theirs
    name, kind = images[0].name, images[0].type.tensor_type.elem_type
    images[0].CopyFrom(
        helper.make_tensor_value_info(name + _BATCH, kind, [1, *(size or None for size in shape)])
    )
    theirs.graph.initializer.append(numpy_helper.from_array(np.array(0), f"{OURS}first_image"))
    node = helper.make_node("Gather", [name + _BATCH, f"{OURS}first_image"], [name], f"{OURS}image", axis=0)
    onnx_graph.replace_nodes(theirs.graph, [node, *theirs.graph.node])
    return theirs


def _recognised(theirs: onnx.ModelProto, options: DetectorOptions, classes: Sequence[str]) -> Detector | None:
    """Return the form of the outputs, which are computed for drawn images one by one."""
    trial = onnx.ModelProto()
    trial.CopyFrom(theirs)
    image, _ = put_pixels_first(trial, options.pixels)
    constants = Constants(trial)
    names = [value.name for value in trial.graph.output if value.name not in constants]
    values: dict[str, list[npt.NDArray[np.generic]]] = {name.removeprefix(THEIRS): [] for name in names}
    for drawn in batching.sample(image.height, image.width, _DRAWN):
        feed = {INPUT: np.stack([drawn] * max(1, image.batch))}
        for name, value in zip(values, onnx_graph.run_all(trial, feed, names), strict=True):
            values[name].append(value)
    return recognised(values, classes, options.first_label)


def _usual(pixels: Pixels, detector: Detector) -> tuple[Pixels, str]:
    """Return the pixel format with the exporter's usual mean and std, and its usual resize rule."""
    if pixels.mean is None and pixels.std is None and detector.exporter == "DETR":
        pixels = replace(pixels, mean=IMAGENET[0], std=IMAGENET[1])
    boxed = detector.form in (COLUMNS, ROWS) and detector.pixels
    return pixels, "letterbox" if boxed else "squash"


def _current(theirs: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in an opset that has the operators of the suppression."""
    if onnx_graph.opset(theirs) >= suppression.OPSET:
        return theirs
    made = batching.converted(theirs, suppression.OPSET)
    if made is None:
        raise BadModel(
            f"the model uses opset {onnx_graph.opset(theirs)}, and a detector needs {suppression.OPSET}: "
            "export it with that or a newer one"
        )
    # the converter records shapes, which contradict another batch size
    del made.graph.value_info[:]
    return made


def _embedding(
    theirs: onnx.ModelProto, options: DetectorOptions, detector: Detector, images: npt.NDArray[np.uint8]
) -> tuple[str, pooling.Pooling]:
    """Return the tensor that becomes the embedding, and how."""
    tensor = THEIRS + options.output
    if not options.output:
        tensor = feature_map.deepest(
            theirs.graph, of_queries=detector.form == TABLES and not detector.corners
        )
    if not tensor:
        raise BadRequest(
            "the graph does not show which features of the detector make a good embedding: name a tensor "
            "with --output, such as the last feature maps or tokens of its backbone"
        )
    if tensor not in onnx_graph.made_by(theirs.graph):
        raise BadRequest(f"the model has no tensor {options.output!r}")
    constants = Constants(theirs)
    shape = pooling.values_of(theirs, tensor, images).shape
    return tensor, pooling.choose(theirs, constants, tensor, shape, options.pool)


def _append(model: onnx.ModelProto, graph: Builder) -> None:
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants)


def _declare(whole: onnx.ModelProto, outputs: Mapping[str, Sequence[int] | None]) -> None:
    """Declare the outputs of a graph, each float32 [N, .]; None leaves a shape open."""
    del whole.graph.output[:]
    for name, shape in outputs.items():
        axes = None if shape is None else ["N", *shape]
        whole.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))


def _rules(options: DetectorOptions, detector: Detector) -> suppression.Rules:
    """Return how boxes are suppressed; raise BadRequest for an option that does not fit the detector."""
    if options.first_label is not None and detector.form not in (ROWS, LISTS):
        raise BadRequest("the detector gives a score for each class, and no labels: leave out --first-label")
    if not detector.suppressed:
        usual = suppression.Rules()
        return usual if options.overlap is None else replace(usual, overlap=options.overlap)
    if options.overlap is not None:
        raise BadRequest("the detector removes overlapping boxes itself: leave out --overlap")
    return suppression.Rules(overlap=1.0)


def _shown(rules: suppression.Rules) -> str:
    kept = f"boxes: the best {rules.most} with a score over {rules.floor:g}"
    if rules.overlap >= 1:
        return kept
    return f"{kept}; of two of a class that overlap by more than {rules.overlap:g}, the better one is kept"
