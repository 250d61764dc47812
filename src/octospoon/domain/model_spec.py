"""Define the model contract: inputs, outputs and metadata that an ONNX file needs to predict in octospoon.

The input is ``image``, uint8 [N, H, W, 3], RGB; the graph itself normalises the pixels. The first output is
``embedding``, float32 [N, D]. All other facts are strings in the file's ``metadata_props``.

With the schema ``octospoon/1`` and a head, there are ``probabilities`` too, float32 [N, C]. They are
calibrated. Each row sums to one if the activation is softmax; with sigmoids, each class has a probability of
its own.

With the schema ``octospoon/2`` the model predicts boxes: ``boxes``, float32 [N, K, 4], are x1, y1, x2, y2 as
shares of the input, and ``scores``, float32 [N, K, C], are the score of each class in [0, 1]. Overlapping
boxes are suppressed already. The rows are ordered by their highest score, and unused rows are zero. The
reader of the file knows what the input shows of an upload, and converts boxes to shares of the upload.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "octospoon/1"
BOXES_SCHEMA = "octospoon/2"
INPUT = "image"
EMBEDDING = "embedding"
PROBABILITIES = "probabilities"
BOXES = "boxes"
SCORES = "scores"
FLOOR = 1e-4
"""Share of each prediction that is spread evenly over the classes, so that no probability is 0 in float16."""
SOFTMAX, SIGMOID = "softmax", "sigmoid"
ACTIVATIONS = (SOFTMAX, SIGMOID)
"""What turns the logits of a head into probabilities."""
HEAD_PREFIX = "octospoon_head/"
"""Begins the name of every node and constant of the head in a model file."""
RESIZE_RULES = ("squash", "cover", "letterbox")
"""``squash`` resizes to H×W and ignores the aspect ratio. ``cover`` resizes the short side and crops the
centre. ``letterbox`` resizes the long side and puts grey around the image."""

MOST_BOXES = 1000
"""The most boxes K of an image that a model file may give."""
LAYOUTS = ("nchw", "nhwc")
"""Axis orders of an imported model's input."""
CHANNELS = ("rgb", "bgr")
"""Colour orders of an imported model's input."""
TOKENS = ("mean", "first")
POOLS = (*LAYOUTS, *TOKENS)
"""Ways to make an embedding: the mean over feature maps in one of `LAYOUTS`, or the mean or first token."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """The metadata of a model file.

    Attributes:
        classes: class names in the order of the probabilities; empty if the model has no head.
        height: input height in pixels.
        width: input width in pixels.
        dim: length D of the embedding.
        resize: one of RESIZE_RULES.
        backbone: sha256 (hex) of the backbone file that computes the embedding.
        version: the model version; 0 for a cold-start model (embeddings only).
        activation: one of ACTIVATIONS.
        boxes: number K of boxes of an image; 0 for a model that predicts no boxes.
    """

    classes: tuple[str, ...]
    height: int
    width: int
    dim: int
    resize: str
    backbone: str
    version: int
    activation: str = SOFTMAX
    boxes: int = 0

    @property
    def has_head(self) -> bool:
        """Return True if the model predicts classes or boxes, False if it only computes embeddings."""
        return bool(self.classes)

    def to_metadata(self) -> dict[str, str]:
        """Return the strings for the file's ``metadata_props``."""
        # files without the entry have a softmax, as all files of earlier releases
        named = {} if self.activation == SOFTMAX else {"activation": self.activation}
        if self.boxes:
            named["boxes"] = str(self.boxes)
        return named | {
            "schema": BOXES_SCHEMA if self.boxes else SCHEMA,
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
            BadModel: an entry is missing, unreadable or out of range; the message names it.
        """
        schema = metadata.get("schema")
        if schema not in (SCHEMA, BOXES_SCHEMA):
            raise BadModel(
                f"the model's metadata says schema {schema!r}, not {SCHEMA!r} or {BOXES_SCHEMA!r}: "
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
                activation=metadata.get("activation", SOFTMAX),
                boxes=int(metadata["boxes"]) if schema == BOXES_SCHEMA else 0,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise BadModel(f"the model's metadata is incomplete or unreadable: {error!r}") from error
        if schema == BOXES_SCHEMA and not spec.boxes:
            raise BadModel(f"a model of schema {BOXES_SCHEMA!r} predicts at least one box for an image")
        spec.check()
        return spec

    def check(self) -> None:
        """Check that every field is within its range.

        Raises:
            BadModel: a field is out of range.
        """
        if self.activation not in ACTIVATIONS:
            raise BadModel(f"activation {self.activation!r} is none of {', '.join(ACTIVATIONS)}")
        if self.resize not in RESIZE_RULES:
            raise BadModel(f"resize rule {self.resize!r} is none of {', '.join(RESIZE_RULES)}")
        if not (0 < self.height <= 4096 and 0 < self.width <= 4096 and 0 < self.dim <= 65536):
            raise BadModel(f"input {self.height}×{self.width} or embedding {self.dim} is out of range")
        if not 0 <= self.boxes <= MOST_BOXES:
            raise BadModel(
                f"{self.boxes} boxes of an image are out of range: at most {MOST_BOXES:,} are read"
            )
        if self.boxes and not self.classes:
            raise BadModel("a model that predicts boxes needs at least one class")
        if len(set(self.classes)) != len(self.classes) or (len(self.classes) == 1 and not self.boxes):
            raise BadModel("a head needs at least two classes, each named once")
        if len(self.backbone) != 64:
            raise BadModel("the backbone must be named by the sha256 of its file (64 hex digits)")


@dataclass(frozen=True, slots=True)
class ChampionPointer:
    """The stored object that names the model in service.

    Attributes:
        version: version in the model registry; 0 is the cold-start model.
        sha256: sha256 of the model file, hex.
        key: object key of the immutable model file.
        backbone: sha256 of the backbone. While it stays the same, stored embeddings stay valid.
        head_key: object key of the head alone (embedding -> probabilities); empty for a cold-start model, and
            for one that predicts boxes.
        head_sha256: sha256 of the head file, hex; empty for a cold-start model.
        classes: class names in the order of the probabilities; empty for a cold-start model.
        previous: the pointer that this one replaced. A function that cannot load this model loads that one.
        generation: increases with every pointer change, roll-backs included. If an image has two scores, the
            one with the higher generation wins. 0 for a pointer that has not been in service.
        record_sha256: sha256 of the training record, hex; empty for a model that was trained on no audit
            label, such as an imported one or one of an earlier release.
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
    record_sha256: str = ""

    @property
    def predicts(self) -> bool:
        """Return True if the model predicts classes or boxes. A detector has classes and no head file."""
        return bool(self.head_key or self.classes)

    @property
    def detects(self) -> bool:
        """Return True if the model predicts boxes, which no stored embedding gives."""
        return bool(self.classes) and not self.head_key

    @property
    def has_another_backbone(self) -> bool:
        """Return whether the embeddings of the model that served before are of no use to this model."""
        return self.previous is not None and self.previous.backbone != self.backbone

    @property
    def reads_since(self) -> int:
        """Return the first pointer generation whose scores this model can use; 0 for any.

        A detector can use no boxes of an earlier detector, and must read the image.
        """
        return self.generation if self.detects else 0

    @classmethod
    def of(
        cls,
        version: int,
        backbone: str,
        sha256: str,
        head_sha256: str = "",
        classes: tuple[str, ...] = (),
        record_sha256: str = "",
    ) -> ChampionPointer:
        """Return the pointer to stored files; for a cold-start model, omit the last three."""
        key, top = model_key(sha256), head_key(head_sha256) if head_sha256 else ""
        return cls(version, sha256, key, backbone, top, head_sha256, classes, record_sha256=record_sha256)

    def after(self, previous: ChampionPointer | None) -> ChampionPointer:
        """Return this pointer as the successor of another: it refers to it and has the next generation."""
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
    """Return the object key of the drift reference that belongs to the model file of this hash."""
    return f"models/sha256/{sha256}/reference.npz"


def record_key(sha256: str) -> str:
    """Return the object key of an immutable training record, named by its own hash."""
    return f"models/sha256/{sha256}/record.npz"


def version_key(version: int) -> str:
    """Return the object key of the pointer stored for a version. A roll-back reads it."""
    return f"{VERSIONS}{version:06d}.json"


def claim_key(version: int) -> str:
    """Return the object key that records which job owns a version number."""
    return f"{VERSIONS}{version:06d}.claim"


def owner_key(owner: str) -> str:
    """Return the object key that records the version number of a job."""
    return f"models/claims/{owner}"


def version_name(version: int, revision: int = 0) -> str:
    """Return the name of a version's predictions in Label Studio, such as v7.

    Args:
        version: of the model.
        revision: of the classes that the predictions name; see `ClassHistory.revision`.
    """
    return f"v{version}, classes {revision}" if revision else f"v{version}"


CHAMPION_KEY = "models/champion.json"
VERSIONS = "models/versions/"
VERSION_TAG = "octospoon.version"
"""The registry tag with our version number. The registry's own numbers restart after a reset."""
