"""Wrap an ONNX file that octospoon did not make, so that it keeps the model contract.

Preprocessing of our uint8 pixels is put in front, and the embedding becomes the output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import TensorProto, helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.evaluation.activation import activated
from octospoon.domain.model_spec import EMBEDDING, SOFTMAX
from octospoon.training.graph import batching, onnx_graph, pooling
from octospoon.training.graph.constants import Constants
from octospoon.training.graph.last_linear import Linear, activation_at, last_linear
from octospoon.training.graph.onnx_graph import THEIRS
from octospoon.training.graph.preprocessing import Image, Pixels, put_pixels_first
from octospoon.training.graph.probabilities import Answers, are_probabilities, named_as_answers
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

__all__ = ["Pixels", "Wrapped", "wrap"]


class Wrapped(NamedTuple):
    """The result of wrapping a file.

    Attributes:
        backbone: an ONNX file that keeps the model contract.
        layer: the model's own last layer; None unless a head is wanted.
        activation: of that layer, one of `octospoon.domain.model_spec.ACTIVATIONS`.
        recognised: facts recognised in the file, one line each, for people.
    """

    backbone: bytes
    layer: Linear | None
    activation: str
    recognised: tuple[str, ...]


def wrap(
    model: onnx.ModelProto,
    pixels: Pixels,
    output: str,
    *,
    head: bool,
    pool: str = "",
    activation: str | None = None,
) -> Wrapped:
    """Return a backbone that keeps the model contract, and the model's own last layer if a head is wanted.

    Args:
        model: a model with one image input, float or uint8, NCHW or NHWC.
        pixels: the pixel format of its input.
        output: name of the tensor with the embedding, or with the classes if `head`; empty for the only one.
        head: True if the output is that of a classifier. Its last linear layer becomes the head.
        pool: how feature maps or tokens become an embedding, one of `POOLS`; empty to read it from the graph.
        activation: that a classifier must have, one of `octospoon.domain.model_spec.ACTIVATIONS`; None for
            the one that ends the graph, which is a softmax for logits.

    Raises:
        BadRequest: the options do not fit the model, or an option is missing.
        BadModel: the model cannot be wrapped; the message says what to export instead.
    """
    theirs = onnx_graph.plain(model)
    name = _output(theirs, output)
    image, notes = put_pixels_first(theirs, pixels)
    tensor = THEIRS + name
    if tensor in Constants(theirs):
        raise BadRequest(f"the tensor {name!r} is the same for every image: name another with --output")
    ends = _activation(theirs, tensor, activation) if head else SOFTMAX
    layer = last_linear(theirs, tensor, ends) if head else None
    whole, embeddings, lines = _embedding(theirs, tensor, image, layer, pool, named=bool(output))
    if layer is not None:
        expected = pooling.values_of(theirs, tensor, _images(image)[: max(1, image.batch)])
        _check_head(expected, embeddings, layer, ends)
    size = f"input {image.name!r}: {image.layout}, {pixels.channels}, {image.height}x{image.width}"
    facts = (size, *lines, *notes)
    return Wrapped(_file(whole, embeddings.shape[1]), layer, ends, tuple(filter(None, facts)))


def _activation(theirs: onnx.ModelProto, tensor: str, wanted: str | None) -> str:
    """Return the activation of a classifier; raise BadRequest if it is not the wanted one."""
    ends = activation_at(theirs, tensor)
    check_activation(ends, wanted)
    return wanted or ends or SOFTMAX


def check_activation(ends: str, wanted: str | None) -> None:
    """Raise BadRequest if a classifier ends in another activation than that of the project's labels.

    Args:
        ends: the activation of the classifier; empty if it gives logits, which suit any.
        wanted: the activation of the project; None for any.
    """
    if ends and wanted and ends != wanted:
        raise BadRequest(
            f"the model ends in {ends}, and the labels of the project need {wanted}: it was made for another "
            "TaskType"
        )


def _images(image: Image) -> npt.NDArray[np.uint8]:
    """Return synthetic images in the size of a model's input, at least three and a batch of its own size."""
    return batching.sample(image.height, image.width, max(3, image.batch))


def _embedding(
    theirs: onnx.ModelProto, tensor: str, image: Image, layer: Linear | None, pool: str, *, named: bool
) -> tuple[onnx.ModelProto, npt.NDArray[np.float32], tuple[str, ...]]:
    """End a graph with its embedding: the features of the head, or the output itself.

    Args:
        theirs: the graph, with our pixels first.
        tensor: its output.
        image: its input.
        layer: the head; None for an embedding.
        pool: see `wrap`.
        named: whether a person named the output.

    Returns:
        The graph, its embeddings of `_images`, float32 [N, D], and what was recognised.
    """
    constants, images = Constants(theirs), _images(image)
    features = layer.features if layer else tensor
    answers = None if layer else Answers(theirs.graph, constants)
    if answers is not None:
        _refuse_operator(answers, tensor)
    shape = pooling.values_of(theirs, features, images[: max(1, image.batch)]).shape
    if answers is not None and not named:
        _refuse_shape(answers, tensor, shape)
    chosen = pooling.choose(theirs, constants, features, shape, pool)
    ended = pooling.ended(theirs, features, chosen)
    whole, embeddings, batch = batching.of_any_size(ended, image.batch, images)
    if answers is not None and are_probabilities(embeddings):
        name = tensor.removeprefix(THEIRS)
        raise BadRequest(_classifier(f"the rows of {name!r} are probabilities", answers, tensor))
    return whole, embeddings, (f"embedding: {chosen.description}", f"batch: {batch}" if batch else "")


def _file(whole: onnx.ModelProto, dim: int) -> bytes:
    """Return a graph as a file whose output is declared as our embedding, float32 [N, dim]."""
    whole.graph.output[0].CopyFrom(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", dim]))
    return model_file.canonical(whole.SerializeToString())


def _output(model: onnx.ModelProto, wanted: str) -> str:
    """Return the name of the wanted tensor, or of the only output if no name is given."""
    names = [value.name.removeprefix(THEIRS) for value in model.graph.output]
    if wanted:
        made = {name.removeprefix(THEIRS) for node in model.graph.node for name in node.output}
        if wanted not in {*names, *made}:
            raise BadRequest(f"the model has no tensor {wanted!r}; its outputs are {', '.join(names)}")
        return wanted
    if len(names) != 1:
        raise BadRequest(f"the model has the outputs {', '.join(names) or 'none'}: name one with --output")
    return str(names[0])


def _refuse_operator(answers: Answers, tensor: str) -> None:
    """Raise BadRequest if the graph shows that the tensor has a classifier's predictions, no embedding."""
    if operator := answers.operator(tensor):
        name = tensor.removeprefix(THEIRS)
        raise BadRequest(_classifier(f"{name!r} comes from {operator}", answers, tensor))


def _refuse_shape(answers: Answers, tensor: str, shape: tuple[int, ...]) -> None:
    """Raise BadRequest if name and shape of the only output suggest a classifier's predictions."""
    name = tensor.removeprefix(THEIRS)
    if len(shape) == 2 and named_as_answers(name, shape[1]):
        raise BadRequest(
            _classifier(f"the output {name!r} looks like its predictions", answers, tensor, name)
        )


def _classifier(why: str, answers: Answers, tensor: str, itself: str = "") -> str:
    """Return advice for a user who gave a classifier's predictions as an embedding."""
    before = answers.features(tensor).removeprefix(THEIRS)
    proposed = f", such as --output {before!r}, the tensor before its last layer" if before else ""
    advice = (
        f"the model is a classifier: name its classes with --classes, or its last features with --output"
        f"{proposed} ({why})"
    )
    return f"{advice}; if it is an embedding nevertheless, pass --output {itself!r}" if itself else advice


def _check_head(
    expected: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32], layer: Linear, activation: str
) -> None:
    """Check that embedding and head together give the model's own predictions.

    Args:
        expected: the model's predictions: logits, probabilities or their logarithms.
        embeddings: float32 [N, D], for the same images and perhaps more.
        layer: the head.
        activation: of the head.

    Raises:
        BadModel: they differ.
    """
    logits = layer.logits(embeddings[: len(expected)])
    theirs = expected.reshape(-1, logits.shape[1]) if expected.size == logits.size else expected
    soft = activated(logits, activation)
    share = 0.1 if layer.rounded else 0.01
    forms = (logits, soft, np.log(np.maximum(soft, 1e-30)))
    if not any(batching.same(theirs, form, np.concatenate([form, 0 * form]), share) for form in forms):
        raise BadModel(
            "the model's predictions are not those of its last linear layer: import it without --classes and "
            "name its last features with --output; then a head will be trained"
        )
