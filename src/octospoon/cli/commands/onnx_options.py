"""The options that describe an ONNX file which octospoon did not make, and how they are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.training.model.check_import import Options

ResizeRule = Literal["squash", "cover", "letterbox"]
ChannelOrder = Literal["rgb", "bgr"]
AxisOrder = Literal["nchw", "nhwc"]
PoolRule = Literal["nchw", "nhwc", "mean", "first"]
WhiteValue = Literal["1", "255"]
_PANEL = "For an ONNX file that octospoon did not make"

Size = Annotated[
    str,
    typer.Option(
        help="Input size, such as 224 or 192x256 (height, width), if the file leaves it open.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Resize = Annotated[
    ResizeRule | None,
    typer.Option(
        help="How an image of another shape fits (default: cover; for a detector its exporter's rule).",
        rich_help_panel=_PANEL,
    ),
]
Range = Annotated[
    WhiteValue, typer.Option("--range", help="Value of white, before mean and std.", rich_help_panel=_PANEL)
]
Mean = Annotated[
    str,
    typer.Option(
        metavar="R,G,B",
        help="Subtracted from the pixels (default: nothing).",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Std = Annotated[
    str,
    typer.Option(
        metavar="R,G,B",
        help="The pixels are then divided by it (default: nothing).",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Channels = Annotated[
    ChannelOrder,
    typer.Option(
        help="Order of the colours in the input; --mean and --std stay R,G,B.", rich_help_panel=_PANEL
    ),
]
Layout = Annotated[
    AxisOrder | None,
    typer.Option(help="Order of the input's axes, if the file does not tell.", rich_help_panel=_PANEL),
]
Output = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Name of the output tensor to use, if there are several.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Pool = Annotated[
    PoolRule | None,
    typer.Option(
        help="Axes of feature maps, which are averaged; or the tokens that make the embedding.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """The options as they were typed."""

    size: str
    resize: ResizeRule | None
    white: WhiteValue
    mean: str
    std: str
    channels: ChannelOrder
    layout: AxisOrder | None
    output: str
    pool: PoolRule | None

    def read(self, classes: tuple[str, ...] = ()) -> Options:
        """Return the options as the import takes them; raises BadRequest for a value that is malformed."""
        from octospoon.training.model.check_import import Options
        from octospoon.training.model.wrap_onnx import Pixels

        height, width = _size(self.size)
        pixels = Pixels(
            height,
            width,
            float(self.white),
            _numbers("--mean", self.mean),
            _numbers("--std", self.std),
            self.channels,
            self.layout or "",
        )
        pixels.factors()
        return Options(pixels, self.resize or "", self.output, classes, self.pool or "")


def _size(text: str) -> tuple[int, int]:
    if not text:
        return (0, 0)
    size = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", text)
    if size is None:
        raise BadRequest(f"--size is {text!r}: it must be such as 224, or 192x256 (height, width)")
    return (int(size[1]), int(size[2] or size[1]))


def _numbers(name: str, text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.split(",")) if text else None
    except ValueError as error:
        raise BadRequest(f"{name} is {text!r}: it must be three numbers such as 0.485,0.456,0.406") from error
