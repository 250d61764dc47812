"""Wraps an ONNX file that octospoon did not make: our pixels in front, an embedding and a head behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import TensorProto, helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.graph import batching, onnx_graph, pooling
from octospoon.training.graph.constants import Constants
from octospoon.training.graph.last_linear import Linear, last_linear
from octospoon.training.graph.onnx_graph import THEIRS
from octospoon.training.graph.preprocessing import Pixels, put_pixels_first
from octospoon.training.graph.probabilities import Answers, are_probabilities, named_as_answers
from octospoon.training.model import model_file

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

__all__ = ["Pixels", "Wrapped", "wrap"]


class Wrapped(NamedTuple):
    """What an imported file became.

    Attributes:
        backbone: keeps the model contract.
        layer: the model's own last layer, where one is wanted.
        recognised: what was found out about the file, in lines for people.
    """

    backbone: bytes
    layer: Linear | None
    recognised: tuple[str, ...]


def wrap(model: onnx.ModelProto, pixels: Pixels, output: str, *, head: bool, pool: str = "") -> Wrapped:
    """Return a backbone that keeps the model contract, and the model's own last layer where one is wanted.

    Args:
        model: one image input, float or uint8, NCHW or NHWC.
        pixels: how it wants them.
        output: name of the tensor that is the embedding, or with a head the classes; empty for its only
            output.
        head: the output is that of a classifier, whose last linear layer becomes the head.
        pool: how feature maps or tokens become an embedding, one of `POOLS`; empty to take it from
            the graph.

    Raises:
        BadRequest: the options do not go together with the model, or it needs one more.
        BadModel: the model cannot be wrapped; the message says what to export instead.
    """
    theirs = onnx_graph.plain(model)
    name = _output(theirs, output)
    image, notes = put_pixels_first(theirs, pixels)
    constants, tensor = Constants(theirs), THEIRS + name
    if tensor in constants:
        raise BadRequest(f"the tensor {name!r} is the same for every picture: name another with --output")
    answers = Answers(theirs.graph, constants)
    layer = last_linear(theirs, tensor) if head else None
    if not head:
        _check_not_answers(answers, tensor)
    images = batching.sample(image.height, image.width, max(3, image.batch))
    features = layer.features if layer else tensor
    shape = _of_batch(theirs, features, images[: max(1, image.batch)]).shape
    if not head and not output and len(shape) == 2 and named_as_answers(name, shape[1]):
        raise BadRequest(_classifier(f"the output {name!r} looks like its answers", answers, tensor, name))
    chosen = pooling.choose(theirs, constants, features, shape, pool)
    whole, embeddings, batch = batching.of_any_size(
        pooling.ended(theirs, features, chosen), image.batch, images
    )
    if layer is None and are_probabilities(embeddings):
        raise BadRequest(_classifier(f"the rows of {name!r} are probabilities", answers, tensor))
    if layer is not None:
        _check_head(_of_batch(theirs, tensor, images[: max(1, image.batch)]), embeddings, layer)
    whole.graph.output[0].CopyFrom(
        helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", embeddings.shape[1]])
    )
    taken = f"input {image.name!r}: {image.layout}, {pixels.channels}, {image.height}x{image.width}"
    told = (taken, f"embedding: {chosen.description}", f"batch: {batch}" if batch else "", *notes)
    return Wrapped(
        model_file.canonical(whole.SerializeToString()), layer, tuple(line for line in told if line)
    )


def _output(model: onnx.ModelProto, wanted: str) -> str:
    names = [value.name.removeprefix(THEIRS) for value in model.graph.output]
    if wanted:
        made = {name.removeprefix(THEIRS) for node in model.graph.node for name in node.output}
        if wanted not in {*names, *made}:
            raise BadRequest(f"the model has no tensor {wanted!r}; its outputs are {', '.join(names)}")
        return wanted
    if len(names) != 1:
        raise BadRequest(f"the model has the outputs {', '.join(names) or 'none'}: name one with --output")
    return str(names[0])


def _check_not_answers(answers: Answers, tensor: str) -> None:
    """Refuse to take the probabilities of a classifier for an embedding."""
    if operator := answers.operator(tensor):
        name = tensor.removeprefix(THEIRS)
        raise BadRequest(_classifier(f"{name!r} comes from {operator}", answers, tensor))


def _classifier(why: str, answers: Answers, tensor: str, itself: str = "") -> str:
    """Return what to do about a classifier's answers where an embedding is wanted."""
    before = answers.features(tensor).removeprefix(THEIRS)
    proposed = f", such as --output {before!r}, the tensor before its last layer" if before else ""
    said = (
        f"the model is a classifier: name its classes with --classes, or its last features with --output"
        f"{proposed} ({why})"
    )
    return f"{said}; if they are an embedding all the same, say --output {itself!r}" if itself else said


def _of_batch(theirs: onnx.ModelProto, tensor: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return a tensor for as many pictures as the model takes at once."""
    whole = pooling.ended(theirs, tensor, pooling.AS_IT_IS)
    found: npt.NDArray[np.float32] = onnx_graph.run(whole, {INPUT: images}, EMBEDDING)
    return found


def _check_head(
    expected: npt.NDArray[np.float32], embeddings: npt.NDArray[np.float32], layer: Linear
) -> None:
    """Compare what the model says of some pictures with what embedding and head make of them."""
    logits = layer.logits(embeddings[: len(expected)])
    theirs = expected.reshape(-1, logits.shape[1]) if expected.size == logits.size else expected
    soft = np.exp(logits - logits.max(axis=1, keepdims=True))
    soft /= soft.sum(axis=1, keepdims=True)
    share = 0.1 if layer.rounded else 0.01
    forms = (logits, soft, np.log(np.maximum(soft, 1e-30)))
    if not any(batching.same(theirs, form, np.concatenate([form, 0 * form]), share) for form in forms):
        raise BadModel(
            "the model's answers are not those of its last linear layer: import it without --classes, with "
            "--output naming its last features, and a head will be trained"
        )
