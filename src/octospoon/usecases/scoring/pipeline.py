"""Read uploads ahead, decode and predict them."""

from __future__ import annotations

import contextlib
import traceback
from dataclasses import dataclass, field, replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadImage, ServiceUnavailable
from octospoon.domain.labelling.addresses import KEY_NOT_SHOWN, why_not_shown
from octospoon.domain.pool.images import ScoredImage, same_bytes
from octospoon.domain.pool.keys import is_folder_marker
from octospoon.usecases.scoring.outcomes import Known, Outcome, Rejected
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from octospoon.domain.pool.images import ImageRef, KnownScore
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer
    from octospoon.usecases.byte_budget import ByteBudget, Lease
    from octospoon.usecases.scoring.outcomes import Predicted

SPARE_SECONDS = 10.0
"""No image is begun with less time left: images under way must still be predicted and written."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Reads and predicts uploads; `results` gets each upload once, under its key.

    Attributes:
        images: the bytes.
        model: gives the model in service.
        seconds_left: until this process is stopped.
        budget: of bytes that are read and not yet predicted.
        workers: the threads that predict.
        known: the scores that the pool had when the batch began, by key.
        identified: called with each upload whose bytes were read, with their identity.
        results: keys of uploads, and what reading and predicting them gave.
    """

    images: ImageStore
    model: Callable[[], Scorer]
    seconds_left: Callable[[], float]
    budget: ByteBudget
    workers: ThreadPoolExecutor
    known: Future[dict[str, KnownScore]]
    identified: Callable[[ImageRef], object]
    results: SimpleQueue[tuple[str, Future[Predicted | None]]] = field(default_factory=SimpleQueue)

    def read(self, upload: ImageRef) -> Rejected | None:
        """Read an upload and hand it over to a worker; return it only if it can never be scored."""
        lease = self.budget.reserve(upload.size)
        try:
            self._check_time()
            _check_key(upload)
            data, etag, object_etag = self.images.read(upload.key)
            lease.resize(len(data))
            # the bytes may be newer than the event: the row records the bytes that were scored
            image = replace(upload, etag=etag, size=len(data), object_etag=object_etag)
            predicting = self.workers.submit(self._predict, image, data, lease)
        except BadImage as bad:
            lease.release()
            return Rejected(self._identify(upload), bad.reason, bad.detail)
        except BaseException:
            lease.release()
            raise
        predicting.add_done_callback(partial(self.report, upload.key))
        return None

    def report(self, key: str, done: Future[Predicted | None]) -> None:
        """Put an upload into the results, unless it was handed over to a worker."""
        if (error := done.exception()) is not None:
            # the frames hold the image's bytes for as long as anybody holds the error
            traceback.clear_frames(error.__traceback__)
        elif done.result() is None:
            return
        self.results.put((key, done))

    def _predict(self, image: ImageRef, data: bytes, lease: Lease) -> Predicted:
        try:
            self._check_time()
            if image.object_etag:
                image = self._identify(image)
            self.identified(image)
            if is_folder_marker(image.key, image.size):
                return Outcome.FOLDER
            scorer = self.model()
            if (known := self._known(image, scorer)) is not None:
                return known
            return ScoredImage(image, predict_image(scorer, scorer.preprocess(data)))
        except BadImage as bad:
            return Rejected(image, bad.reason, bad.detail)
        finally:
            lease.release()

    def _identify(self, image: ImageRef) -> ImageRef:
        """Return an upload under the identity that the pool has for its bytes; a label may depend on it."""
        return same_bytes(image, self.known.result().get(image.key))

    def _known(self, image: ImageRef, scorer: Scorer) -> Known | None:
        """Return whether the row must be updated if these bytes have a score of this model or a newer one.

        Returns:
            None if the bytes have no such score, or none of the same backbone, or if it is unknown.
        """
        with contextlib.suppress(ServiceUnavailable):
            known = self.known.result().get(image.key)
            if known is None or (known.etag, known.backbone) != (image.etag, scorer.spec.backbone):
                return None
            if known.generation >= scorer.generation:
                later = image.sequencer.ljust(len(known.sequencer), "0") > known.sequencer
                return Known(image, newer=later or image.object_etag != known.object_etag)
        return None

    def _check_time(self) -> None:
        if self.seconds_left() < SPARE_SECONDS:
            raise ServiceUnavailable("no time left for this image: it goes back to the queue")


def _check_key(upload: ImageRef) -> None:
    why = why_not_shown(upload.key)
    if why and not is_folder_marker(upload.key, upload.size):
        raise BadImage(KEY_NOT_SHOWN, why)
