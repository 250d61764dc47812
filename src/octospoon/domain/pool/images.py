"""Data of images: uploads, predictions, scores and states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


ARCHIVED = "archived"
"""The quarantine reason of an image in an S3 archive class, until it is restored."""
RETIRED = "retired"
"""The quarantine reason of an image that a person took out of the pool."""


class State(StrEnum):
    """The state of an image; an image is in exactly one state."""

    SCORED = "scored"
    CLAIMED = "claimed"
    EXPORTED = "exported"
    LABELLED = "labelled"
    QUARANTINED = "quarantined"


CHOSEN = (State.CLAIMED, State.EXPORTED)
"""The states of an image that a round has, and that has no label."""
UNLABELLED = (State.SCORED, *CHOSEN)
"""The states of an image that a new model may score."""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One upload of one image, from the bucket's event.

    Attributes:
        key: object key, decoded.
        etag: identity of the bytes, see `ImageBytes`; before they are read, the bucket's own ETag.
        sequencer: S3's order of events on one key (hex; compare after right-padding with zeros).
        size: in bytes.
        object_etag: the bucket's own ETag if it differs from `etag`, otherwise empty.
    """

    key: str
    etag: str
    sequencer: str
    size: int
    object_etag: str = ""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Uncertainty scores of one image; the first three increase with the model's uncertainty.

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
    """The output of a model for one image.

    Attributes:
        model_version: version of the model.
        backbone: sha256 of the backbone that made the embedding.
        embedding: float32 [D].
        probabilities: float32 [C], or None from a cold-start model; boxes float32 [K, 4 + C] from a model
            that predicts boxes, see `octospoon.domain.pool.boxes`.
        generation: generation of the pointer to the model; see `ChampionPointer`.
    """

    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    generation: int = 0


class ImageBytes(NamedTuple):
    """The bytes of an object and their identity.

    Attributes:
        data: the bytes.
        etag: identity of the bytes: their MD5 in hex, for any ETag of the bucket.
        object_etag: the bucket's own ETag if it differs from `etag`, otherwise empty.
    """

    data: bytes
    etag: str
    object_etag: str = ""

    def matches(self, etag: str) -> bool:
        """Return True if a stored identity is that of these bytes.

        Rows from before this rule contain the bucket's own ETag.
        """
        return etag in (self.etag, self.object_etag)


class KnownScore(NamedTuple):
    """The bytes, backbone and pointer generation of an image's stored score.

    `sequencer` (padded) and `object_etag` are those of the newest upload of these bytes.
    """

    etag: str
    generation: int
    backbone: str
    sequencer: str = ""
    object_etag: str = ""

    def is_of(self, image: ImageRef) -> bool:
        """Return True if the score is of this very upload."""
        padded = image.sequencer.ljust(len(self.sequencer), "0")
        uploaded = image.etag, padded, image.object_etag
        return (self.etag, self.sequencer, self.object_etag) == uploaded


def same_bytes(image: ImageRef, known: KnownScore | None) -> ImageRef:
    """Return an upload with the identity that the pool has for its bytes.

    They differ in two cases: the bytes could not be read, so that only the bucket's ETag is known, or the
    pool's row is from the time when the bucket's ETag was the identity.
    """
    if known is None:
        return image
    if known.object_etag and image.etag == known.object_etag:
        return replace(image, etag=known.etag, object_etag=known.object_etag)
    if image.object_etag and image.object_etag == known.etag:
        return replace(image, etag=known.etag, object_etag="")
    return image


@dataclass(frozen=True, slots=True)
class UnlabelledImage:
    """An image in one of the states `UNLABELLED`, as an upload, and the model of its stored score.

    Attributes:
        image: the newest upload.
        backbone: sha256 of the backbone that made the embedding.
        generation: of the pointer to the model; see `ChampionPointer`.
    """

    image: ImageRef
    backbone: str
    generation: int

    def outdated(self, backbone: str, generation: int) -> bool:
        """Return whether the image must be read again for another model.

        Args:
            backbone: of that model; an embedding of another backbone is of no use to it.
            generation: see `ChampionPointer.reads_since`; a score of an earlier generation is of no use.
        """
        return self.backbone != backbone or self.generation < generation


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """An upload with the output of a model."""

    image: ImageRef
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A stored image of the pool; the store has embedding float32 [D] and probabilities [C] as float16.

    For a model that predicts boxes, `probabilities` is float32 [K, 4 + C] with the boxes that are stored.
    """

    key: str
    etag: str
    state: State
    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """The newest stored prediction of one image of the pool, without its embedding.

    Attributes:
        key: object key.
        etag: identity of the bytes.
        state: state of the image.
        model_version: version of the model that scored it.
        top_class: index of the most probable class in that model's list; None from a model without classes.
        confidence: its probability.
        scored_at: epoch seconds of the score.
        label: the label of the image; None for none.
        probabilities: float32 [C], of every class, or boxes float32 [K, 4 + C]; None if they were not asked
            for.
    """

    key: str
    etag: str
    state: State
    model_version: int
    top_class: int | None
    confidence: float
    scored_at: float
    label: str | None = None
    probabilities: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class PoolImage:
    """Everything that a map of the pool shows of one image.

    Attributes:
        key: object key.
        etag: identity of the bytes.
        state: state of the image.
        model_version: version of the model that scored it; 0 for none.
        backbone: sha256 of the backbone that made the embedding; empty for none.
        embedding: float16 [D]; None in quarantine, except for a retired image.
        top_class: index of the most probable class in that model's list; None from a model without classes.
        confidence: its probability; 0 without one.
        label: the label of the image; None for none.
        round_number: number of the newest round that chose it; 0 for none.
        strategy: what chose it, see `Pick`; empty for none.
        audit: whether it belongs to the audit share.
        arrived: UTC day of the upload, such as 2026-01-31; empty if unknown.
        reason: the quarantine reason; empty in other states.
        boxes: what a detector predicted, see `octospoon.domain.pool.stored_boxes`; None from another model.
    """

    key: str
    etag: str
    state: State
    model_version: int
    backbone: str
    embedding: npt.NDArray[np.float16] | None
    top_class: int | None
    confidence: float
    label: str | None
    round_number: int
    strategy: str
    audit: bool
    arrived: str
    reason: str
    boxes: bytes | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A selectable image from the pool's indexes, without its embedding.

    Attributes:
        key: object key.
        etag: ETag of the bytes that were scored.
        priority: the strategy's order, higher first; None while there is no head.
        sampling_key: fixed number in [0, 1).
    """

    key: str
    etag: str
    priority: float | None
    sampling_key: float


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object in the listing of the images bucket.

    Attributes:
        key: object key.
        etag: the bucket's own ETag. Equal ETags mean equal bytes, but different ETags may be of equal bytes.
        size: in bytes.
        modified: epoch seconds.
        archived: True if it must be restored before it can be read.
        other_file: True if it is another kind of file among a user's own, such as a text.
    """

    key: str
    etag: str
    size: int
    modified: float
    archived: bool = False
    other_file: bool = False
