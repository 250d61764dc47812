"""A model that was not trained here: read from a file, made to fit the contract and the project, checked."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, SCHEMA
from octospoon.training.graph import batching
from octospoon.training.model import model_file, wrap_onnx
from octospoon.training.model.measure import seconds_per_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.gate import Rules
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.images import Prediction

RESIZE = "cover"
"""What most models for photos were trained with."""
_SAME = 1e-3
"""The pool stores halves: what differs by less is the same there."""
_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Options:
    """What an imported file does not say of itself.

    Attributes:
        pixels: how it wants them.
        resize: ``squash`` or ``cover``; empty for RESIZE.
        output: name of the tensor that is used; empty for the only output.
        classes: in the order of the model's answers; empty to use it as a backbone only.
        pool: how feature maps or tokens become an embedding; empty to take it from the graph.
    """

    pixels: wrap_onnx.Pixels
    resize: str = ""
    output: str = ""
    classes: tuple[str, ...] = ()
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a model file is made of.

    Attributes:
        backbone: the ONNX file that embeds.
        resize: its resize rule.
        classes: in the order of the head; empty without one.
        weights: float32 [D, C], None without a head.
        bias: float32 [C], None without a head.
        recognised: what was found out about an imported file, in lines for people.
    """

    backbone: bytes
    resize: str
    classes: tuple[str, ...] = ()
    weights: npt.NDArray[np.float32] | None = None
    bias: npt.NDArray[np.float32] | None = None
    recognised: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """A model that keeps the contract, as version 0.

    Attributes:
        model: the whole file.
        head: the head alone; None without classes.
        spec: what the file says of itself.
        recognised: what was found out about the file that it was made of.
    """

    model: bytes
    head: bytes | None
    spec: ModelSpec
    recognised: tuple[str, ...] = field(default=(), compare=False)


def read(path: Path, options: Options) -> Parts:
    """Take a model file apart: one of octospoon's own, or any that can be wrapped.

    Raises:
        BadRequest: the options do not go together with the file.
        BadModel: the file is no model that can be used; the message says why.
    """
    try:
        proto = onnx.load(path)  # with its external data
    except Exception as error:  # protobuf's and the file system's own types
        raise BadModel(f"{path} cannot be read as ONNX: {error}") from error
    if any(prop.key == "schema" and prop.value == SCHEMA for prop in proto.metadata_props):
        return _own(path, proto, options)
    return _import_plain(proto, options, options.output)


def _own(path: Path, proto: onnx.ModelProto, options: Options) -> Parts:
    if options != Options(wrap_onnx.Pixels()):
        raise BadRequest("the file describes itself: give it no options that do")
    data, spec = path.read_bytes(), OnnxScorer(path).spec
    try:
        backbone = model_file.extract_backbone(data)
    except BadModel:  # changed by other hands: its embedding is used, its head cannot be told from the rest
        return _import_plain(proto, replace(options, resize=spec.resize), EMBEDDING)
    if not spec.has_head:
        return Parts(backbone, spec.resize)
    return Parts(backbone, spec.resize, spec.classes, *model_file.extract_head(data))


def _import_plain(proto: onnx.ModelProto, options: Options, output: str) -> Parts:
    backbone, layer, recognised = wrap_onnx.wrap(
        proto, options.pixels, output, head=bool(options.classes), pool=options.pool
    )
    resize = options.resize or RESIZE
    if layer is None:
        return Parts(backbone, resize, recognised=recognised)
    if layer.weights.shape[1] != len(options.classes):
        raise BadRequest(
            f"the model tells {layer.weights.shape[1]} classes apart, --classes names {len(options.classes)}"
        )
    recognised += (f"classes: {', '.join(options.classes)}, from its last linear layer",)
    return Parts(backbone, resize, options.classes, layer.weights, layer.bias, recognised)


def fitted(parts: Parts, classes: Sequence[str]) -> Imported:
    """Put the parts together for a project.

    Args:
        parts: of the model.
        classes: the project's, in its order; the head's columns are put into it.

    Raises:
        BadRequest: the model's classes are not the project's.
    """
    spec = model_file.backbone_spec(parts.backbone, parts.resize)
    if parts.weights is None or parts.bias is None:
        return Imported(model_file.assemble(parts.backbone, None, spec), None, spec, parts.recognised)
    if set(parts.classes) != set(classes) or len(set(parts.classes)) != len(parts.classes):
        raise BadRequest(
            f"the model's classes are {', '.join(parts.classes)}, the project's {', '.join(classes)}: they "
            "must be the same. Without classes it is imported as a backbone, for which a head is trained"
        )
    order = [parts.classes.index(name) for name in classes]
    spec = replace(spec, classes=tuple(classes))
    head = model_file.head_file(parts.weights[:, order], parts.bias[order], spec)
    return Imported(model_file.assemble(parts.backbone, head, spec), head, spec, parts.recognised)


def check(imported: Imported, picture: bytes, rules: Rules) -> tuple[Prediction, float]:
    """Run a model; return what it says of a picture, and the seconds that one takes.

    Args:
        imported: the model.
        picture: a file's bytes.
        rules: of the gate: what would be refused later is refused now.

    Raises:
        BadImage: the picture cannot be read.
        BadModel: the model fails, is too large or too slow, or sees no difference between pictures.
    """
    if len(imported.model) > rules.most_bytes:
        raise BadModel(
            f"the model takes {len(imported.model):,} bytes, a function has room for {rules.most_bytes:,}"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(imported.model)
        scorer = OnnxScorer(path)
        pixels = scorer.preprocess(picture)
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
        return scorer.predict(pixels[np.newaxis])[0], seconds


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
            "the model gives different pictures the same embedding: see --mean, --std, --range and --output"
        )
