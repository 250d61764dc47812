"""The model contract: what an ONNX file must say of itself before octospoon lets it predict.

Input ``image`` uint8 [N, H, W, 3] (RGB, normalisation inside the graph). Outputs ``embedding`` float32
[N, D] and, once there are labels, ``probabilities`` float32 [N, C], calibrated, rows summing to one.
Everything else travels in the file's ``metadata_props`` as strings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "octospoon/1"
INPUT = "image"
EMBEDDING = "embedding"
PROBABILITIES = "probabilities"
HEAD_PREFIX = "octospoon_head/"
"""Begins the name of every node and constant of the head in a model file."""
RESIZE_RULES = ("squash", "cover")
"""``squash`` resizes to H×W whatever the shape; ``cover`` resizes the short side and crops the centre."""

LAYOUTS = ("nchw", "nhwc")
"""Orders of an imported model's axes."""
CHANNELS = ("rgb", "bgr")
"""Orders of the colours that an imported model may want."""
TOKENS = ("mean", "first")
POOLS = (*LAYOUTS, *TOKENS)
"""How an embedding is made of feature maps, by their mean, or of tokens: their mean, or the first."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model file says of itself.

    Attributes:
        classes: class names in the order of the probabilities; empty while there is no head.
        height: input height in pixels.
        width: input width in pixels.
        dim: length D of the embedding.
        resize: one of RESIZE_RULES.
        backbone: sha256 (hex) of the backbone file that computes the embedding.
        version: the model version; 0 for a cold-start model (embeddings only).
    """

    classes: tuple[str, ...]
    height: int
    width: int
    dim: int
    resize: str
    backbone: str
    version: int

    @property
    def has_head(self) -> bool:
        """Say whether the model predicts classes, or only embeds."""
        return bool(self.classes)

    def to_metadata(self) -> dict[str, str]:
        """Return the strings that belong into the file's ``metadata_props``."""
        return {
            "schema": SCHEMA,
            "classes": json.dumps(list(self.classes), ensure_ascii=False),
            "height": str(self.height),
            "width": str(self.width),
            "dim": str(self.dim),
            "resize": self.resize,
            "backbone": self.backbone,
            "version": str(self.version),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> ModelSpec:
        """Read and check the strings of ``metadata_props``.

        Raises:
            BadModel: something is missing, unreadable or outside its range; the message names it.
        """
        if metadata.get("schema") != SCHEMA:
            raise BadModel(
                f"the model's metadata says schema {metadata.get('schema')!r}, not {SCHEMA!r}: "
                "wrap the file with `octospoon model import` first"
            )
        try:
            spec = cls(
                classes=tuple(str(name) for name in json.loads(metadata["classes"])),
                height=int(metadata["height"]),
                width=int(metadata["width"]),
                dim=int(metadata["dim"]),
                resize=metadata["resize"],
                backbone=metadata["backbone"],
                version=int(metadata["version"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BadModel(f"the model's metadata is incomplete or unreadable: {error!r}") from error
        spec.check()
        return spec

    def check(self) -> None:
        """Raise BadModel unless every field is within its range."""
        if self.resize not in RESIZE_RULES:
            raise BadModel(f"resize rule {self.resize!r} is none of {', '.join(RESIZE_RULES)}")
        if not (0 < self.height <= 4096 and 0 < self.width <= 4096 and 0 < self.dim <= 65536):
            raise BadModel(f"input {self.height}×{self.width} or embedding {self.dim} is out of range")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) == 1:
            raise BadModel("a head needs at least two classes, each named once")
        if len(self.backbone) != 64:
            raise BadModel("the backbone must be named by the sha256 of its file (64 hex digits)")


@dataclass(frozen=True, slots=True)
class ChampionPointer:
    """The one small object that says which model predicts.

    Attributes:
        version: version in the model registry; 0 is the cold-start model.
        sha256: of the model file, hex.
        key: object key of the immutable model file.
        backbone: sha256 of the backbone: where it is unchanged, stored embeddings stay valid.
        head_key: object key of the head alone (embedding -> probabilities); empty for a cold-start model.
        head_sha256: of the head file, hex; empty for a cold-start model.
        classes: class names in the order of the probabilities; empty for a cold-start model.
        previous: the pointer that this one replaced, for whoever starts now and cannot load the newer model.
        generation: grows with every change of the pointer, a roll-back too: of two scores the one of the
            later generation is the better one. 0 for a pointer that has not been in service.
    """

    version: int
    sha256: str
    key: str
    backbone: str
    head_key: str = ""
    head_sha256: str = ""
    classes: tuple[str, ...] = ()
    previous: ChampionPointer | None = None
    generation: int = 0

    @classmethod
    def of(
        cls, version: int, backbone: str, sha256: str, head_sha256: str = "", classes: tuple[str, ...] = ()
    ) -> ChampionPointer:
        """Return the pointer to stored files; without a head, leave out its sha256 and the classes."""
        top = head_key(head_sha256) if head_sha256 else ""
        return cls(version, sha256, model_key(sha256), backbone, top, head_sha256, classes)

    def after(self, previous: ChampionPointer | None) -> ChampionPointer:
        """Return this pointer as the one that replaces another."""
        if previous is None:
            return replace(self, previous=None)
        return replace(self, previous=replace(previous, previous=None), generation=previous.generation + 1)


def model_key(sha256: str) -> str:
    """Return the object key of an immutable model file, named by its own hash."""
    return f"models/sha256/{sha256}/model.onnx"


def head_key(sha256: str) -> str:
    """Return the object key of an immutable head file, named by its own hash."""
    return f"models/sha256/{sha256}/head.onnx"


def reference_key(sha256: str) -> str:
    """Return the object key of what uploads looked like when the model of this hash was trained."""
    return f"models/sha256/{sha256}/reference.npz"


def version_key(version: int) -> str:
    """Return the object key of the pointer that serves a version: what a roll-back needs."""
    return f"{VERSIONS}{version:06d}.json"


def claim_key(version: int) -> str:
    """Return the object key that says which job a version number belongs to."""
    return f"{VERSIONS}{version:06d}.claim"


def owner_key(owner: str) -> str:
    """Return the object key that says which version number a job has."""
    return f"models/claims/{owner}"


def version_name(version: int) -> str:
    """Return a version as Label Studio names it, such as v7."""
    return f"v{version}"


CHAMPION_KEY = "models/champion.json"
VERSIONS = "models/versions/"
VERSION_TAG = "octospoon.version"
"""The tag by which the registry knows our version of a model: its own numbers begin anew after a reset."""
