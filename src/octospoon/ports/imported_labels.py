"""Labels that existed before octospoon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.labelling.imported import Confirmation
    from octospoon.domain.labelling.tasks import LabelState, Pick


class ImportedLabels(Protocol):
    """The imported labels, which are stored beside the annotations of Label Studio."""

    def states(self, keys: Sequence[str]) -> dict[str, LabelState]:
        """Return the labels of these images by key, images in quarantine included, without missing ones."""

    def store(self, labels: Sequence[tuple[LabelState, str]]) -> set[str]:
        """Store imported labels, and count new ones towards training; return the keys that were written.

        Each label is written whole or not at all, many in one transaction. It is not written if its image has
        changed since its state was read, or was drawn for people to confirm.

        Args:
            labels: the state of each image as it was read, and its class. The keys are distinct.
        """

    def counting(self) -> Iterator[tuple[str, str]]:
        """Yield the key and the etag of every image whose imported label counts, in any order."""

    def draw(self, pick: Pick, round_number: int, until: float) -> bool:
        """Claim an image with an imported label for a round in which people confirm its label.

        The imported label no longer counts. Return False if the image has changed.

        Args:
            pick: the image.
            round_number: of the round.
            until: epoch seconds at which the claim expires.
        """

    def confirmations(self) -> Iterator[Confirmation]:
        """Yield each imported label that was drawn for people to confirm, with their answer so far."""
