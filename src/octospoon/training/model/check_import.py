"""Import a model that octospoon did not train: read, fit to contract and project, and check its file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import BOXES_SCHEMA, EMBEDDING, SCHEMA, SOFTMAX
from octospoon.training.graph import batching
from octospoon.training.model import detector_file, model_file, wrap_detector, wrap_onnx
from octospoon.training.model.measure import seconds_per_image
from octospoon.training.model.wrap_detector import DetectorOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.gate import Rules
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.images import Prediction

RESIZE = "cover"
"""The resize rule with which most models for photos were trained."""
_SAME = 1e-3
"""Relative difference that float16, as the pool stores embeddings, does not show."""
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Options:
    """Facts about an imported file that the file does not contain.

    Attributes:
        pixels: the pixel format of its input.
        resize: one of `RESIZE_RULES`; empty for RESIZE.
        output: name of the output tensor; empty for the only output.
        classes: class names in the order of the model's predictions; empty to use it as a backbone only.
        pool: how feature maps or tokens become an embedding; empty to read it from the graph.
        first_label: number of a detector's first class where its labels are numbers; None for the exporter's
            usual one.
        overlap: intersection over union of two boxes of a class, above which a detector's worse one is
            removed; None for the usual one.
    """

    pixels: wrap_onnx.Pixels
    resize: str = ""
    output: str = ""
    classes: tuple[str, ...] = ()
    pool: str = ""
    first_label: int | None = None
    overlap: float | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a model file.

    Attributes:
        backbone: the ONNX file of the backbone, or of a whole detector.
        resize: its resize rule.
        classes: class names in the order of the head or of a detector's scores; empty without any.
        weights: float32 [D, C], None without a head.
        bias: float32 [C], None without a head.
        recognised: facts recognised in an imported file, one line each, for people.
        activation: of the head.
        detector: the heads of a detector that octospoon trained; None if it is one graph.
    """

    backbone: bytes
    resize: str
    classes: tuple[str, ...] = ()
    weights: npt.NDArray[np.float32] | None = None
    bias: npt.NDArray[np.float32] | None = None
    recognised: tuple[str, ...] = ()
    activation: str = SOFTMAX
    detector: bytes | None = None

    @property
    def is_detector(self) -> bool:
        """Return True if the file predicts boxes; it has classes and no head."""
        return bool(self.classes) and self.weights is None


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported model that keeps the contract, with version 0.

    Attributes:
        model: the complete file.
        head: the head alone; None without classes.
        spec: the file's own description.
        recognised: facts recognised in the original file, one line each.
    """

    model: bytes
    head: bytes | None
    spec: ModelSpec
    recognised: tuple[str, ...] = field(default=(), compare=False)


def read(path: Path, options: Options, activation: str | None = None) -> Parts:
    """Read the parts of a model file: one that octospoon made, or another that can be wrapped.

    Args:
        path: of the file.
        options: what the file does not say.
        activation: of the project's heads, one of `octospoon.domain.model_spec.ACTIVATIONS`; empty if the
            project's labels are boxes, and None for a model of any kind.

    Raises:
        BadRequest: the options do not fit the file, or the file predicts another kind of label.
        BadModel: the file cannot be used; the message says why.
    """
    try:
        proto = onnx.load(path)  # with its external data
    except Exception as error:  # protobuf's and the file system's own types
        raise BadModel(f"{path} cannot be read as ONNX: {error}") from error
    if any(prop.key == "schema" and prop.value in (SCHEMA, BOXES_SCHEMA) for prop in proto.metadata_props):
        parts = _own(path, proto, options, activation)
    else:
        parts = _of_others(proto, options, activation)
    if parts.is_detector and activation:
        raise BadRequest(
            "the model is a detector, and the labels of the project are classes: it fits TaskType=detection"
        )
    if parts.weights is not None and activation == "":
        raise BadRequest(
            "the model is a classifier, and the labels of the project are boxes: TaskType=detection needs a "
            "detector"
        )
    return parts


def _of_others(proto: onnx.ModelProto, options: Options, activation: str | None) -> Parts:
    """Read a file that octospoon did not make."""
    if options.classes or not options.output:
        # with an output and no classes, the features of a detector are wanted as a backbone
        of_detector = (options.classes, options.output, options.pool, options.first_label, options.overlap)
        detector = wrap_detector.wrap(proto, DetectorOptions(options.pixels, *of_detector))
        if detector is not None:
            resize = options.resize or detector.resize
            return Parts(detector.file, resize, detector.classes, recognised=detector.recognised)
    if activation == "" and options.classes:
        outputs = ", ".join(value.name for value in proto.graph.output)
        raise BadModel(
            f"the model's outputs are {outputs}, which are none of a detector, and the labels of the project "
            "are boxes"
        )
    if options.first_label is not None or options.overlap is not None:
        raise BadRequest("the model is no detector: leave out --first-label and --overlap")
    return _import_plain(proto, options, options.output, activation)


def _own(path: Path, proto: onnx.ModelProto, options: Options, activation: str | None) -> Parts:
    if options != Options(wrap_onnx.Pixels()):
        raise BadRequest("the file describes itself: give it no options that do")
    data, spec = path.read_bytes(), OnnxScorer(path).spec
    try:
        backbone = model_file.extract_backbone(data)
    except BadModel:  # changed by another program: the embedding is used, the head cannot be recognised
        return _import_plain(proto, replace(options, resize=spec.resize), EMBEDDING, activation)
    if spec.boxes:
        return Parts(backbone, spec.resize, spec.classes, detector=detector_file.heads_of(data))
    if not spec.has_head:
        return Parts(backbone, spec.resize)
    wrap_onnx.check_activation(spec.activation, activation)
    head = model_file.extract_head(data)
    return Parts(backbone, spec.resize, spec.classes, *head, activation=spec.activation)


def _import_plain(proto: onnx.ModelProto, options: Options, output: str, activation: str | None) -> Parts:
    wrapped = wrap_onnx.wrap(
        proto,
        options.pixels,
        output,
        head=bool(options.classes),
        pool=options.pool,
        activation=activation,
    )
    resize, layer, recognised = options.resize or RESIZE, wrapped.layer, wrapped.recognised
    if layer is None:
        return Parts(wrapped.backbone, resize, recognised=recognised)
    if layer.weights.shape[1] != len(options.classes):
        raise BadRequest(
            f"the model tells {layer.weights.shape[1]} classes apart, --classes names {len(options.classes)}"
        )
    kind = f"from its last linear layer, by a {wrapped.activation}"
    recognised += (f"classes: {', '.join(options.classes)}, {kind}",)
    head = (layer.weights, layer.bias)
    return Parts(wrapped.backbone, resize, options.classes, *head, recognised, wrapped.activation)


def fitted(parts: Parts, classes: Sequence[str]) -> Imported:
    """Assemble the parts for a project.

    Args:
        parts: the parts of the model.
        classes: the project's class names; the predictions are put into their order.

    Raises:
        BadRequest: the model's classes are not those of the project.
    """
    if not parts.classes:
        spec = model_file.backbone_spec(parts.backbone, parts.resize)
        return Imported(model_file.assemble(parts.backbone, None, spec), None, spec, parts.recognised)
    if set(parts.classes) != set(classes) or len(set(parts.classes)) != len(parts.classes):
        hint = "Without classes it is imported as a backbone, for which a head is trained"
        raise BadRequest(
            f"the model's classes are {', '.join(parts.classes)}, the project's {', '.join(classes)}: they "
            f"must be the same{'' if parts.is_detector else f'. {hint}'}"
        )
    order = [parts.classes.index(name) for name in classes]
    if parts.weights is None or parts.bias is None:
        return _detector(parts, tuple(classes), order)
    spec = model_file.backbone_spec(parts.backbone, parts.resize)
    spec = replace(spec, classes=tuple(classes), activation=parts.activation)
    head = model_file.head_file(parts.weights[:, order], parts.bias[order], spec)
    return Imported(model_file.assemble(parts.backbone, head, spec), head, spec, parts.recognised)


def _detector(parts: Parts, classes: tuple[str, ...], order: list[int]) -> Imported:
    """Assemble a detector with its classes in another order; it has no head of its own."""
    backbone, heads = parts.backbone, parts.detector
    if heads is None:
        backbone = detector_file.in_order(backbone, order, heads=False)
    else:
        heads = detector_file.in_order(heads, order, heads=True)
    spec = model_file.detector_spec(backbone, parts.resize, classes, heads)
    return Imported(model_file.assemble(backbone, heads, spec), None, spec, parts.recognised)


def check(imported: Imported, image: bytes, rules: Rules) -> tuple[Prediction, float]:
    """Run a model on an image and check it by the limits that the gate will apply later.

    Args:
        imported: the model.
        image: the bytes of an image file.
        rules: the gate's limits.

    Returns:
        The output for the image, and the seconds per image.

    Raises:
        BadImage: the image cannot be read.
        BadModel: the model fails, is too large or too slow, or gives different images equal embeddings.
    """
    if len(imported.model) > rules.most_bytes:
        raise BadModel(
            f"the model takes {len(imported.model):,} bytes, a function has room for {rules.most_bytes:,}"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(imported.model)
        scorer = OnnxScorer(path)
        pixels, region = scorer.preprocess(image)
        drawn = batching.sample(*pixels.shape[:2])
        images = np.concatenate([np.stack([pixels, 255 - pixels, np.full_like(pixels, 127)]), drawn])
        alone = np.concatenate([scorer.run(image[np.newaxis])[0] for image in images])
        _check_embeddings(alone, scorer.run(images)[0])
        seconds = seconds_per_image(scorer)
        if seconds > rules.most_seconds:
            raise BadModel(
                f"an image takes {seconds:.1f} s on one thread, more than {rules.most_seconds:g}: take a "
                "smaller model, or a smaller --size"
            )
        return scorer.predict(pixels[np.newaxis], [region])[0], seconds


def _check_embeddings(alone: npt.NDArray[np.float32], together: npt.NDArray[np.float32]) -> None:
    """Look at float32 [N, D] of different images, each alone and all together."""
    size = np.abs(alone)
    if size.max() > np.finfo(np.float16).max:
        raise BadModel(
            "the embedding has numbers over 65,504, which the pool cannot store: see --mean and --std"
        )
    if not batching.same(alone, together):
        raise BadModel("the model answers differently when images come together: export it for inference")
    # each number beside its own size: a large constant one must hide nothing, nor pass for a difference
    if not (np.ptp(alone, axis=0) > _SAME * size.max(axis=0) + _TINY * size.max()).any():
        raise BadModel(
            "the model gives different images the same embedding: see --mean, --std, --range and --output"
        )
