"""An image, its scores, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


ARCHIVED = "archived"
"""Reason of the quarantine of an image that is in an archive of S3's, until it is restored."""


class State(StrEnum):
    """Where an image stands; an image is in exactly one state."""

    SCORED = "scored"
    CLAIMED = "claimed"
    EXPORTED = "exported"
    LABELLED = "labelled"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One upload of one image, as the bucket's event names it.

    Attributes:
        key: object key, decoded.
        etag: identity of the bytes, see `ImageBytes`; until they are read, the bucket's own ETag.
        sequencer: S3's order of events on one key (hex; compare after right-padding with zeros).
        size: in bytes.
        object_etag: the bucket's own ETag where it is another one; empty where it is the same.
    """

    key: str
    etag: str
    sequencer: str
    size: int
    object_etag: str = ""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Raw scores of one image; each grows with the model's doubt.

    Attributes:
        least_confidence: 1 - p(1), in [0, 1 - 1/C].
        margin: 1 - (p(1) - p(2)), in [0, 1].
        entropy: Shannon entropy over log(C), in [0, 1].
        top_class: index of the most probable class.
        confidence: p(1), in [1/C, 1].
    """

    least_confidence: float
    margin: float
    entropy: float
    top_class: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model says of one image.

    Attributes:
        model_version: version of the model that said it.
        backbone: sha256 of the backbone that made the embedding.
        embedding: float32 [D].
        probabilities: float32 [C], or None from a cold-start model.
        generation: of the pointer that the model serves by; see `ChampionPointer`.
    """

    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    generation: int = 0


class ImageBytes(NamedTuple):
    """An object's bytes, and what they are called.

    Attributes:
        data: the bytes.
        etag: identity of the bytes: their MD5 in hex, whatever the bucket's ETag is.
        object_etag: the bucket's own ETag where it is another one; empty where it is the same.
    """

    data: bytes
    etag: str
    object_etag: str = ""

    def matches(self, etag: str) -> bool:
        """Say whether these are the bytes of a stored identity.

        Rows that are older than this rule hold the bucket's own ETag.
        """
        return etag in (self.etag, self.object_etag)


class KnownScore(NamedTuple):
    """Whose score an image has: of which bytes, by which version, with which backbone's embedding.

    `sequencer` is padded, and with `object_etag` it is of the newest upload of these bytes.
    """

    etag: str
    model_version: int
    backbone: str
    sequencer: str = ""
    object_etag: str = ""


def same_bytes(image: ImageRef, known: KnownScore | None) -> ImageRef:
    """Give an upload the identity under which the pool holds its bytes.

    It has another one at first where its bytes could not be read, so that only the bucket's ETag is known,
    or where the pool knows them by the bucket's ETag because they were scored before identities were
    checksums.
    """
    if known is None:
        return image
    if known.object_etag and image.etag == known.object_etag:
        return replace(image, etag=known.etag, object_etag=known.object_etag)
    if image.object_etag and image.object_etag == known.etag:
        return replace(image, etag=known.etag, object_etag="")
    return image


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One upload and what a model says of it."""

    image: ImageRef
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One image of the pool as stored (embedding and probabilities are float16 there)."""

    key: str
    etag: str
    state: State
    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selectable image as the pool's indexes hold it: small, without its embedding.

    Attributes:
        key: object key.
        etag: of the bytes that were scored.
        priority: what the strategy wants first, higher first; None while there is no head.
        sampling_key: fixed number in [0, 1).
    """

    key: str
    etag: str
    priority: float | None
    sampling_key: float


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of the images bucket, as a listing names it.

    Attributes:
        key: object key.
        etag: the bucket's own: equal ones mean equal bytes, different ones mean nothing.
        size: in bytes.
        modified: epoch seconds.
        archived: it must be restored before it can be read.
    """

    key: str
    etag: str
    size: int
    modified: float
    archived: bool = False
