"""What each route answers, without HTTP: the data of the views, and the actions."""

from __future__ import annotations

import threading
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from octospoon.adapters.mlflow.page_link import PORT
from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.ui import galleries, judging, watching
from octospoon.ui.boxes import Guesses, boxes, of_images
from octospoon.ui.pool_reader import PoolReader, clear
from octospoon.ui.refresher import DAILY, OFTEN, Refresher
from octospoon.ui.selection import checked
from octospoon.ui.thumbnails import Thumbnails
from octospoon.ui.view_document import ViewDocument
from octospoon.usecases.choose_by_hand import ManualRound, Retire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.trace import Trace
    from octospoon.ports.clock import Clock
    from octospoon.ui.backend import Backend
    from octospoon.ui.boxes import Guess
    from octospoon.ui.snapshot import Snapshot

_REMEMBERED = 20_000


class Pages:
    """The views and actions over one deployment.

    Args:
        backend: the deployment.
        clock: the time.

    Attributes:
        pool: keeps the snapshot of the pool.
        documents: the documents of views that are read in the background, by name.
    """

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend, self._clock = backend, clock
        backend.folder.mkdir(parents=True, exist_ok=True)
        clear(backend.folder)
        storage = backend.storage
        read = PoolReader(
            storage.pool_report,
            storage.champions,
            storage.observations,
            backend.history,
            storage.task_type,
            backend.folder,
        )
        every = OFTEN if backend.local else DAILY
        self.pool = Refresher(read, backend.folder / "pool", every, backend.sentence, clock.now)
        self.documents = {
            "watch": self._keep("watch", partial(watching.records, backend), OFTEN, lambda: ""),
            "model": self._keep(
                "model", partial(judging.judged, backend), every, partial(judging.mark, backend)
            ),
        }
        self._cost = self._keep("cost", backend.spent, DAILY, lambda: "")
        self._thumbnails = Thumbnails(storage.images, backend.folder / "thumbnails")
        self._ids: dict[str, tuple[str, str]] = {}
        self._ids_of: Snapshot | None = None
        self._document: tuple[Snapshot, bytes] | None = None
        self._lock = threading.Lock()

    # -- views ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what every view shows: the deployment, the snapshot's age, and what reading costs."""
        self.pool.seen()
        snapshot, progress = self.pool.snapshot, self.pool.progress
        total = int(snapshot.facts["total"]) if snapshot else 0
        return {
            "name": self._backend.name,
            "local": self._backend.local,
            "links": dict(self._backend.links()),
            "reading": progress.reading,
            "rows": progress.rows,
            "placing": progress.placing,
            "error": progress.error,
            "snapshot": progress.number,
            "read_at": snapshot.facts["read_at"] if snapshot else None,
            "next_at": self.pool.next_at(),
            "total": total,
            "counts": snapshot.facts["counts"] if snapshot else {},
            "read_dollars": 0.0 if self._backend.local else total * self._backend.read_cost / 1e6,
            "rounds": self._backend.storage.rounds.last_number(),
            "linked_port": PORT,
        }

    def document(self) -> bytes | None:
        """Return the snapshot for the map; None before the first."""
        snapshot = self.pool.snapshot
        if snapshot is None:
            return None
        if self._document is None or self._document[0] is not snapshot:
            self._document = (snapshot, snapshot.document())  # made once: it takes half a second
        return self._document[1]

    def batch(self, number: int | None) -> dict[str, Any]:
        """Return a round as a gallery.

        Args:
            number: of the round; None for the newest.

        Raises:
            BadRequest: there is no such round.
        """
        rounds = self._backend.storage.rounds
        wanted = rounds.last_number() if number is None else number
        round_ = rounds.read(wanted) if wanted > 0 else None
        if round_ is None:
            raise BadRequest(f"there is no round {wanted}" if wanted else "there is no round yet")
        return {**self._gallery(round_), "last": rounds.last_number()}

    def preview(self) -> dict[str, Any]:
        """Return the round that `rank` would choose now; nothing is stored."""
        return self._gallery(self._backend.preview())

    def image(self, key: str) -> dict[str, Any]:
        """Return the story of an image and its nearest images.

        Raises:
            BadRequest: there is no such image.
        """
        trace, storage = self.story(key), self._backend.storage
        rows, task_type = storage.pool.rows, storage.task_type
        row = rows([key]).get(key)
        document = galleries.image(trace, row, rows, self.pool.snapshot)
        document["predicted"] = self._predicted()(row) if row else None
        if task_type.name == TaskTypeName.DETECTION and (record := storage.records.record(key)):
            document["boxes"] = (
                boxes(task_type, record.label, self._backend.history()) if record.label else []
            )
        self._remember([(key, document["etag"])])
        return document

    def boxes(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the boxes of labels and predictions by key; nothing where the task type has none."""
        return of_images(self._backend.storage, self._backend.history(), keys, self._predicted())

    def story(self, key: str) -> Trace:
        """Return the story of an image.

        Raises:
            BadRequest: there is no such image.
        """
        return self._backend.trace(key)

    def watch(self, *, now: bool = False) -> dict[str, Any]:
        """Return what the view Watch shows; `now` waits until it is read."""
        document = self.documents["watch"]
        answer = document.now() if now else document.get()
        self._remember(watching.drifted(answer["document"]))
        local, pool = self._backend.local, watching.of_pool(self.pool.snapshot)
        return {**answer, "pool": pool, "local": local, "cost": None if local else self._cost.last()}

    def model(self, *, now: bool = False) -> dict[str, Any]:
        """Return what the view Model shows; `now` waits until it is read."""
        document = self.documents["model"]
        answer = document.now() if now else document.get()
        self._remember(judging.shown(answer["document"]))
        return answer

    def run(self, version: int) -> str:
        """Return the address of the run in MLflow that made a version; empty if there is none."""
        return self._backend.run(version)

    def thumbnail(self, image: str, size: str) -> bytes | None:
        """Return the thumbnail of an image that the page has shown; None for an unknown id.

        Raises:
            BadImage: it cannot be shown.
        """
        known = self._known().get(image)
        return self._thumbnails.get(*known, size) if known else None

    # -- actions --------------------------------------------------------------------------------

    def refresh(self) -> dict[str, Any]:
        """Read the pool as soon as possible."""
        self.pool.request()
        return {"asked": True}

    def again(self, names: Sequence[str]) -> dict[str, Any]:
        """Read the documents of views again, at the next view of each.

        Raises:
            BadRequest: there is no such view.
        """
        if unknown := [name for name in names if name not in self.documents]:
            raise BadRequest(f"no such view: {', '.join(unknown)}")
        for name in names:
            self.documents[name].request()
        return {"asked": True}

    def cost(self) -> dict[str, Any]:
        """Return what AWS has billed; it is asked at most once a day, because each question costs money."""
        return self._cost.fresh()

    def label(self, keys: Sequence[str]) -> dict[str, Any]:
        """Send the selectable images among `keys` to the annotators as a round of their own."""
        storage = self._backend.storage
        begin = ManualRound(
            storage.pool,
            storage.rounds,
            storage.champions,
            self._clock,
            lambda: storage.control.state().jobs,
        )
        chosen = begin(checked(keys))
        report = self._backend.rank()
        self._reread()
        return {
            "round": chosen.number,
            "images": len(chosen.picks),
            "left": len(keys) - len(chosen.picks),
            "exported": report.exported if report.round_number == chosen.number else 0,
            "reason": report.reason,
        }

    def retire(self, keys: Sequence[str]) -> dict[str, Any]:
        """Take the selectable images among `keys` out of the pool."""
        moved = Retire(self._backend.storage.entries)(checked(keys))
        self._reread()
        return {"moved": moved.moved, "left": moved.left}

    def restore(self, keys: Sequence[str]) -> dict[str, Any]:
        """Make the retired images among `keys` selectable again."""
        moved = Retire(self._backend.storage.entries).undo(checked(keys))
        self._reread()
        return {"moved": moved.moved, "left": moved.left}

    # -- helpers --------------------------------------------------------------------------------

    def _keep(
        self, name: str, read: Callable[[], dict[str, Any]], every: float, mark: Callable[[], str]
    ) -> ViewDocument:
        path, backend = self._backend.folder / f"{name}.json", self._backend
        return ViewDocument(read, path, every, mark, backend.sentence, self._clock.now)

    def _reread(self) -> None:
        """Read the pool again after a change, where that is free."""
        if self._backend.local:
            self.pool.request()

    def _gallery(self, round_: Round) -> dict[str, Any]:
        storage = self._backend.storage
        keys = [pick.key for pick in round_.picks]
        self._remember([(pick.key, pick.etag) for pick in round_.picks])
        rows, entries = storage.pool.rows(keys), storage.entries.entries(keys)
        return galleries.batch(round_, rows, entries, self.pool.snapshot, self._predicted())

    def _predicted(self) -> Callable[[PoolRow], Guess | None]:
        guesses = Guesses(self._backend.storage.task_type, self._backend.history())
        version = lru_cache(self._backend.storage.champions.version)

        def predicted(row: PoolRow) -> Guess | None:
            pointer = version(row.model_version)
            return guesses(row.probabilities, pointer.classes) if pointer else None

        return predicted

    def _known(self) -> dict[str, tuple[str, str]]:
        """Return key and etag by id, of every image that the page may show."""
        snapshot = self.pool.snapshot
        with self._lock:
            if snapshot is not None and self._ids_of is not snapshot:
                pairs = zip(snapshot.keys, snapshot.etags, strict=True)
                self._ids |= {image_id(key, etag): (key, etag) for key, etag in pairs}
                self._ids_of = snapshot
            return self._ids

    def _remember(self, images: Sequence[tuple[str, str]]) -> None:
        with self._lock:
            if len(self._ids) > _REMEMBERED and self._ids_of is not self.pool.snapshot:
                self._ids = {}  # `_known` fills it again from the newest snapshot
            self._ids |= {image_id(key, etag): (key, etag) for key, etag in images}
