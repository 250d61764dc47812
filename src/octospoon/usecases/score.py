"""Score uploads: read ahead, decode and predict on every core, write many rows at once behind.

Bad pictures go to quarantine at once, and no image takes another one along.
"""

from __future__ import annotations

import contextlib
import math
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from octospoon.domain.errors import BadImage, BadModel, ServiceUnavailable
from octospoon.domain.labelling.addresses import KEY_NOT_SHOWN, why_not_shown
from octospoon.domain.pool.images import ScoredImage, same_bytes
from octospoon.domain.pool.keys import is_folder_marker
from octospoon.usecases.byte_budget import ByteBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.pool.images import ImageRef, KnownScore, Prediction
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer
    from octospoon.ports.pool import ScoringPool
    from octospoon.usecases.byte_budget import Lease

T = TypeVar("T")
MAX_BYTES = 64_000_000
ROWS_A_CALL = 25
"""As many as one call to the pool takes."""
SPARE_SECONDS = 10.0
"""No picture is begun with less time left: what is under way must be predicted and written."""


class Outcome(StrEnum):
    """What became of one upload.

    Known are bytes that this model has scored before; a folder's marker is no image and gets no row.
    """

    SCORED = "scored"
    KNOWN = "known"
    STALE = "stale"
    QUARANTINED = "quarantined"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A picture that nobody can score."""

    image: ImageRef
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Known:
    """Bytes that this model has scored before; `newer` where the row does not know of this upload."""

    image: ImageRef
    newer: bool


Seen: TypeAlias = "ScoredImage | Rejected | Known | Outcome"
Step: TypeAlias = "Outcome | Exception | Future[Outcome] | Future[dict[str, Step]]"
"""What became of an upload, or whoever is to know it, of one or of many."""


class _Threads:
    """Started when first needed, and kept for the next batch: to start them takes longer than a picture."""

    def __init__(self, downloads: int, workers: int, writers: int) -> None:
        self.downloads, self.workers, self.writers = map(ThreadPoolExecutor, (downloads, workers, writers))


@dataclass(frozen=True, slots=True)
class ScoreUploads:
    """The use case.

    Attributes:
        images: where the bytes are.
        pool: where the scores go.
        model: gives the model that predicts now.
        resolve_label: settles the label of an image whose bytes changed: these may have been labelled before.
        workers: pictures decoded and predicted at once; one for each core.
        downloads: pictures read at once.
        writers: calls to the pool at once.
        max_bytes: of pictures read and not yet predicted; a picture that alone has more still passes.
    """

    images: ImageStore
    pool: ScoringPool
    model: Callable[[], Scorer]
    resolve_label: Callable[[str], object]
    workers: int
    downloads: int = 12
    writers: int = 4
    max_bytes: int = MAX_BYTES
    _threads: _Threads = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_threads", _Threads(self.downloads, self.workers, self.writers))

    def __call__(
        self,
        uploads: Sequence[ImageRef],
        seconds_left: Callable[[], float] = lambda: math.inf,
        identified: Callable[[ImageRef], object] = lambda _: None,
    ) -> list[Outcome | Exception]:
        """Score each upload on its own: one answer each, in order, an exception where it failed.

        Of the uploads of one key only the newest is scored, since reading any of them gives its bytes.
        The others are stale, or fail with it.

        Args:
            uploads: any number, in any order.
            seconds_left: until this process is stopped; what cannot be begun in time fails with
                ServiceUnavailable.
            identified: told of each upload whose bytes were read, with their identity.
        """
        if not uploads:
            return []
        newest = _newest(uploads)
        ended = self._score(list(newest.values()), seconds_left, identified)
        return [_of_one(one, newest[one.key], ended[one.key]) for one in uploads]

    def _score(
        self,
        uploads: Sequence[ImageRef],
        seconds_left: Callable[[], float],
        identified: Callable[[ImageRef], object],
    ) -> dict[str, Outcome | Exception]:
        known: Future[dict[str, KnownScore]] = Future()
        line = _Line(self, seconds_left, ByteBudget(self.max_bytes), self._threads.workers, known, identified)
        # the largest first: a core that ends up with a large picture alone keeps the others waiting
        for number, upload in enumerate(sorted(uploads, key=lambda one: -one.size)):
            if number == self.workers:
                time.sleep(0)  # what the cores wait for is asked for before anything else is
            reading = self._threads.downloads.submit(line.read, upload)
            reading.add_done_callback(partial(line.end, upload.key))
        # arrives before the first picture does, and costs a hundredth of predicting twice
        self._threads.writers.submit(_tell, known, partial(self.pool.scored, [one.key for one in uploads]))
        with contextlib.suppress(Exception):  # whoever needs the model learns of it
            self.model()  # looks for a newer one now, while the first pictures are on their way
        rows = _Rows(self, known, self._threads.writers)
        for _ in uploads:
            rows.take(*line.seen.get())
        rows.flush()
        return {key: _outcome(key, step) for key, step in rows.ended.items()}


@dataclass(frozen=True, slots=True)
class _Line:
    """What one picture goes through until it has been seen; each is told of once, under its key."""

    use: ScoreUploads
    seconds_left: Callable[[], float]
    budget: ByteBudget
    workers: ThreadPoolExecutor
    known: Future[dict[str, KnownScore]]
    identified: Callable[[ImageRef], object]
    seen: SimpleQueue[tuple[str, Future[Seen | None]]] = field(default_factory=SimpleQueue)

    def read(self, upload: ImageRef) -> Rejected | None:
        """Read a picture and hand it on to a worker."""
        lease = self.budget.reserve(upload.size)
        try:
            self._check_time()
            _check_key(upload)
            data, etag, object_etag = self.use.images.read(upload.key)
            lease.resize(len(data))
            # what was read may be newer than the event: the row says what was scored
            image = replace(upload, etag=etag, size=len(data), object_etag=object_etag)
            looking = self.workers.submit(self._look, image, data, lease)
        except BadImage as bad:
            lease.release()
            return Rejected(self._identify(upload), bad.reason, bad.detail)
        except BaseException:
            lease.release()
            raise
        looking.add_done_callback(partial(self.end, upload.key))
        return None

    def end(self, key: str, ended: Future[Seen | None]) -> None:
        """Tell of a picture, unless it was handed on."""
        if (error := ended.exception()) is not None:
            # its frames hold the picture, for as long as anybody holds the failure
            traceback.clear_frames(error.__traceback__)
        elif ended.result() is None:
            return
        self.seen.put((key, ended))

    def _look(self, image: ImageRef, data: bytes, lease: Lease) -> Seen:
        try:
            self._check_time()
            if image.object_etag:
                image = self._identify(image)
            self.identified(image)
            if is_folder_marker(image.key, image.size):
                return Outcome.FOLDER
            scorer = self.use.model()
            if (known := self._known(image, scorer.spec)) is not None:
                return known
            return ScoredImage(image, predict_one(scorer, scorer.preprocess(data)))
        except BadImage as bad:
            return Rejected(image, bad.reason, bad.detail)
        finally:
            lease.release()

    def _identify(self, image: ImageRef) -> ImageRef:
        """Return an upload under the identity that the pool has for its bytes; a label may hang on it."""
        return same_bytes(image, self.known.result().get(image.key))

    def _known(self, image: ImageRef, spec: ModelSpec) -> Known | None:
        """Return what to do if these very bytes have this model's score, or a newer one's of its backbone.

        None if they have not, or if in doubt.
        """
        with contextlib.suppress(ServiceUnavailable):
            known = self.known.result().get(image.key)
            if known is None or (known.etag, known.backbone) != (image.etag, spec.backbone):
                return None
            if known.model_version >= spec.version:
                later = image.sequencer.ljust(len(known.sequencer), "0") > known.sequencer
                return Known(image, newer=later or image.object_etag != known.object_etag)
        return None

    def _check_time(self) -> None:
        if self.seconds_left() < SPARE_SECONDS:
            raise ServiceUnavailable("no time left for this picture: it goes back to the queue")


@dataclass(slots=True)
class _Rows:
    """Writes what was seen: new rows many at once, the rest one by one."""

    use: ScoreUploads
    known: Future[dict[str, KnownScore]]
    writers: ThreadPoolExecutor
    ended: dict[str, Step] = field(default_factory=dict)
    waiting: list[ScoredImage] = field(default_factory=list)

    def take(self, key: str, seen: Future[Seen | None]) -> None:
        """Write one picture's row, or keep it until there are more."""
        if (error := seen.exception()) is not None:
            self.ended[key] = error if isinstance(error, Exception) else RuntimeError(repr(error))
            return
        found = seen.result()
        if isinstance(found, Rejected):
            self.ended[key] = self.writers.submit(self._quarantine, found)
        elif isinstance(found, Known):
            self.ended[key] = self.writers.submit(self._note, found) if found.newer else Outcome.KNOWN
        elif isinstance(found, Outcome):
            self.ended[key] = found
        elif found is not None:
            self.waiting.append(found)
            if len(self.waiting) == ROWS_A_CALL:
                self.flush()

    def flush(self) -> None:
        """Write the rows that were kept."""
        if not self.waiting:
            return
        rows, self.waiting = self.waiting, []
        inserting = self.writers.submit(self._insert, rows)
        self.ended |= dict.fromkeys([row.image.key for row in rows], inserting)

    def _insert(self, rows: list[ScoredImage]) -> dict[str, Step]:
        inserted = self.use.pool.insert_scores(rows)
        return {
            row.image.key: Outcome.SCORED
            if row.image.key in inserted
            else self.writers.submit(self._write, row)
            for row in rows
        }

    def _write(self, row: ScoredImage) -> Outcome:
        if not self.use.pool.put_score(row.image, row.prediction):
            return Outcome.STALE
        if self._changed(row.image):
            self.use.resolve_label(row.image.key)
        return Outcome.SCORED

    def _changed(self, image: ImageRef) -> bool:
        with contextlib.suppress(ServiceUnavailable):
            known = self.known.result().get(image.key)
            return known is None or known.etag != image.etag
        return True

    def _note(self, found: Known) -> Outcome:
        self.use.pool.note_upload(found.image)
        return Outcome.KNOWN

    def _quarantine(self, found: Rejected) -> Outcome:
        written = self.use.pool.put_quarantine(found.image, found.reason, found.detail)
        return Outcome.QUARANTINED if written else Outcome.STALE


def _check_key(upload: ImageRef) -> None:
    why = why_not_shown(upload.key)
    if why and not is_folder_marker(upload.key, upload.size):
        raise BadImage(KEY_NOT_SHOWN, why)


def _tell(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except Exception as error:  # noqa: BLE001 - whoever asks the future gets it
        future.set_exception(error)


def _newest(uploads: Sequence[ImageRef]) -> dict[str, ImageRef]:
    newest: dict[str, ImageRef] = {}
    for one in uploads:
        # zeros on the right, with which S3 wants sequencers padded, are the smallest digits anyway
        if one.sequencer >= newest.get(one.key, one).sequencer:
            newest[one.key] = one
    return newest


def _of_one(upload: ImageRef, newest: ImageRef, ended: Outcome | Exception) -> Outcome | Exception:
    return ended if upload == newest or isinstance(ended, Exception) else Outcome.STALE


def _outcome(key: str, step: Step) -> Outcome | Exception:
    try:
        while isinstance(step, Future):
            known = step.result()
            step = known[key] if isinstance(known, dict) else known
    except Exception as error:  # noqa: BLE001 - one image never takes its batch along
        return error
    return step


def predict_one(scorer: Scorer, pixels: npt.NDArray[np.uint8]) -> Prediction:
    """Predict one picture, uint8 [H, W, 3]; where that fails, find out which is to blame, it or the model.

    Raises:
        BadImage: reason ``model-output``: this picture fails again, and a blank one does not.
        BadModel: the model fails on any picture.
    """
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel:
        scorer.predict(np.zeros_like(pixels)[np.newaxis])
    try:
        return scorer.predict(pixels[np.newaxis])[0]
    except BadModel as error:
        raise BadImage("model-output", str(error)) from error
