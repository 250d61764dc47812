"""What models see in the images of a pool, for the columns of its snapshot."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.pool import stored_boxes
from octospoon.domain.pool.boxes import CORNERS
from octospoon.domain.task_types.detection.label import in_words
from octospoon.domain.task_types.detection.predictions import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolImage
    from octospoon.domain.task_types.task_type import TaskType, Translation

_NUMBERS = 4_000_000
"""Numbers of predictions that are looked at together: about 30 MB in all of their forms."""


class Seen(NamedTuple):
    """What a model sees in an image: a text, its classes, and the number of boxes, -1 without boxes."""

    text: str
    classes: Sequence[str]
    boxes: int = -1


class Predictions:
    """Makes the predictions of a pool readable.

    Args:
        task_type: the kind of label.
        history: the project's classes, whose present names are shown.
        version: gives the pointer to the model of a version; None if it is unknown.
    """

    def __init__(
        self,
        task_type: TaskType,
        history: ClassHistory,
        version: Callable[[int], ChampionPointer | None],
    ) -> None:
        self._task_type, self._history, self._version = task_type, history, version

    def __call__(self, images: Sequence[PoolImage]) -> list[Seen | None]:
        """Return what is seen in each image; None without a prediction, or if all its classes are retired."""
        seen: list[Seen | None] = [None] * len(images)
        boxed: dict[tuple[str, ...], list[int]] = {}
        for i, image in enumerate(images):
            pointer = self._version(image.model_version)
            known = pointer.classes if pointer else ()
            if image.boxes is not None:
                if stored_boxes.classes_of(image.boxes) == len(known):
                    boxed.setdefault(known, []).append(i)
            elif image.top_class is not None and image.top_class < len(known):
                name = self._history.shown(known[image.top_class])
                seen[i] = Seen(name, [name])
        for known, at in boxed.items():
            translated = self._task_type.translation(self._history, known)
            if translated.names:
                stored = [images[i].boxes or b"" for i in at]
                for i, guess in zip(at, self._boxed(stored, translated, len(known)), strict=True):
                    seen[i] = guess
        return seen

    def _boxed(self, stored: Sequence[bytes], translated: Translation, classes: int) -> Iterator[Seen]:
        """Yield what a detector sees in each image.

        Decoded together, the boxes of 100,000 images take a second or two; one by one, half a minute.
        """
        names, known = [self._history.shown(name) for name in translated.names], dict[bytes, Seen]()
        size = max(1, _NUMBERS // (stored_boxes.DETECTIONS * (CORNERS + classes)))
        for first in range(0, len(stored), size):
            predicted = translated(stored_boxes.unpack_together(stored[first : first + size]))
            for numbers in counts(predicted):
                same = numbers.tobytes()
                if same not in known:
                    known[same] = _seen(names, numbers.tolist())
                yield known[same]


def _seen(names: Sequence[str], numbers: Sequence[int]) -> Seen:
    given = Counter[str]()
    for name, number in zip(names, numbers, strict=True):
        if number:
            given[name] += number
    return Seen(in_words(given), sorted(given), given.total())
