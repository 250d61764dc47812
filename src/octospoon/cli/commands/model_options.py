"""What the command line says of an ONNX file from elsewhere: the same options wherever one is taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import CHANNELS, LAYOUTS, POOLS, RESIZE_RULES

if TYPE_CHECKING:
    import argparse

    from octospoon.training.model.check_import import Options


def add(command: argparse.ArgumentParser) -> None:
    """Add the options; what a file says of itself needs none of them."""
    group = command.add_argument_group("an ONNX file that octospoon did not make")
    group.add_argument("--size", default="", help="such as 224 or 192x256, where the file leaves it open")
    group.add_argument("--resize", default="", choices=RESIZE_RULES, help="default: cover")
    group.add_argument(
        "--range", default="1", choices=("1", "255"), help="white, before mean and std (default: 1)"
    )
    group.add_argument("--mean", default="", metavar="R,G,B", help="subtracted (default: nothing)")
    group.add_argument("--std", default="", metavar="R,G,B", help="then divided by (default: nothing)")
    group.add_argument(
        "--channels",
        default="rgb",
        choices=CHANNELS,
        help="order of the colours that it takes; --mean and --std stay R,G,B (default: rgb)",
    )
    group.add_argument(
        "--layout", default="", choices=LAYOUTS, help="of its input, if the file does not tell"
    )
    group.add_argument(
        "--output", default="", metavar="NAME", help="of the tensor to use, if there are several"
    )
    group.add_argument(
        "--pool",
        default="",
        choices=POOLS,
        help="order of feature maps, which are averaged; or which of the tokens is the embedding",
    )


def options_of(arguments: argparse.Namespace, classes: tuple[str, ...] = ()) -> Options:
    """Return the options that were typed; raises BadRequest where one cannot be read."""
    from octospoon.training.graph.wrap_onnx import Pixels
    from octospoon.training.model.check_import import Options

    height, width = _size(arguments.size)
    pixels = Pixels(
        height,
        width,
        float(arguments.range),
        _numbers("--mean", arguments.mean),
        _numbers("--std", arguments.std),
        arguments.channels,
        arguments.layout,
    )
    pixels.factors()
    return Options(pixels, arguments.resize, arguments.output, classes, arguments.pool)


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text) if text else None
    if text and not found:
        raise BadRequest(f"--size is {text!r}: it must be such as 224, or 192x256 (height, width)")
    return (int(found[1]), int(found[2] or found[1])) if found else (0, 0)


def _numbers(name: str, text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.split(",")) if text else None
    except ValueError as error:
        raise BadRequest(f"{name} is {text!r}: it must be three numbers such as 0.485,0.456,0.406") from error
