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
from octospoon.training.model import model_file, wrap_detector, wrap_onnx
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
    """

    backbone: bytes
    resize: str
    classes: tuple[str, ...] = ()
    weights: npt.NDArray[np.float32] | None = None
    bias: npt.NDArray[np.float32] | None = None
    recognised: tuple[str, ...] = ()
    activation: str = SOFTMAX

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


def read(path: Path, options: Options, activation: str = SOFTMAX) -> Parts:
    """Read the parts of a model file: one that octospoon made, or another that can be wrapped.

    Args:
        path: of the file.
        options: what the file does not say.
        activation: of the project's heads, one of `octospoon.domain.model_spec.ACTIVATIONS`.

    Raises:
        BadRequest: the options do not fit the file.
        BadModel: the file cannot be used; the message says why.
    """
    try:
        proto = onnx.load(path)  # with its external data
    except Exception as error:  # protobuf's and the file system's own types
        raise BadModel(f"{path} cannot be read as ONNX: {error}") from error
    if any(prop.key == "schema" and prop.value in (SCHEMA, BOXES_SCHEMA) for prop in proto.metadata_props):
        return _own(path, proto, options, activation)
    if options.classes or not options.output:
        # with an output and no classes, the features of a detector are wanted as a backbone
        of_detector = (options.classes, options.output, options.pool, options.first_label, options.overlap)
        detector = wrap_detector.wrap(proto, DetectorOptions(options.pixels, *of_detector))
        if detector is not None:
            resize = options.resize or detector.resize
            return Parts(detector.file, resize, detector.classes, recognised=detector.recognised)
    if options.first_label is not None or options.overlap is not None:
        raise BadRequest("the model is no detector: leave out --first-label and --overlap")
    return _import_plain(proto, options, options.output, activation)


def _own(path: Path, proto: onnx.ModelProto, options: Options, activation: str) -> Parts:
    if options != Options(wrap_onnx.Pixels()):
        raise BadRequest("the file describes itself: give it no options that do")
    data, spec = path.read_bytes(), OnnxScorer(path).spec
    try:
        backbone = model_file.extract_backbone(data)
    except BadModel:  # changed by another program: the embedding is used, the head cannot be recognised
        return _import_plain(proto, replace(options, resize=spec.resize), EMBEDDING, activation)
    if not spec.has_head or spec.boxes:
        return Parts(backbone, spec.resize, spec.classes)
    if spec.activation != activation:
        raise BadRequest(
            f"the model ends in {spec.activation}, and the labels of the project need {activation}: it was "
            "made for another TaskType"
        )
    return Parts(backbone, spec.resize, spec.classes, *model_file.extract_head(data), activation=activation)


def _import_plain(proto: onnx.ModelProto, options: Options, output: str, activation: str) -> Parts:
    backbone, layer, recognised = wrap_onnx.wrap(
        proto,
        options.pixels,
        output,
        head=bool(options.classes),
        pool=options.pool,
        activation=activation,
    )
    resize = options.resize or RESIZE
    if layer is None:
        return Parts(backbone, resize, recognised=recognised)
    if layer.weights.shape[1] != len(options.classes):
        raise BadRequest(
            f"the model tells {layer.weights.shape[1]} classes apart, --classes names {len(options.classes)}"
        )
    recognised += (f"classes: {', '.join(options.classes)}, from its last linear layer",)
    return Parts(backbone, resize, options.classes, layer.weights, layer.bias, recognised, activation)


def fitted(parts: Parts, classes: Sequence[str]) -> Imported:
    """Assemble the parts for a project.

    Args:
        parts: the parts of the model.
        classes: the project's class names; the columns of the head are put into their order. A detector
            keeps its own classes.

    Raises:
        BadRequest: the model's classes are not those of the project.
    """
    if parts.is_detector:
        spec = model_file.detector_spec(parts.backbone, parts.resize, parts.classes)
        return Imported(model_file.assemble(parts.backbone, None, spec), None, spec, parts.recognised)
    spec = model_file.backbone_spec(parts.backbone, parts.resize)
    if parts.weights is None or parts.bias is None:
        return Imported(model_file.assemble(parts.backbone, None, spec), None, spec, parts.recognised)
    if set(parts.classes) != set(classes) or len(set(parts.classes)) != len(parts.classes):
        raise BadRequest(
            f"the model's classes are {', '.join(parts.classes)}, the project's {', '.join(classes)}: they "
            "must be the same. Without classes it is imported as a backbone, for which a head is trained"
        )
    order = [parts.classes.index(name) for name in classes]
    spec = replace(spec, classes=tuple(classes), activation=parts.activation)
    head = model_file.head_file(parts.weights[:, order], parts.bias[order], spec)
    return Imported(model_file.assemble(parts.backbone, head, spec), head, spec, parts.recognised)


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
