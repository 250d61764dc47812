"""The model in service: revalidated while running, replaced as a whole, and never by a bad one."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from octospoon.domain.errors import BadModel, OctospoonError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.clock import Clock
    from octospoon.ports.models import Champions

T = TypeVar("T")
LOG = logging.getLogger(__name__)
MAX_AGE = 5.0
"""Seconds for which a running function uses a pointer without reading it again."""
NO_MODEL = "no model can be loaded yet: run `octospoon init-model` first"


class CurrentModel(Generic[T]):
    """Holds the model of the champion pointer, and loads a new one when the pointer changes.

    After `max_age`, callers get the newest model: they wait while another thread checks and loads.

    Args:
        champions: the pointer.
        load: loads a pointer's model; raises BadModel if it cannot.
        clock: the time.
        max_age: seconds for which the pointer is not read again.
    """

    def __init__(
        self,
        champions: Champions,
        load: Callable[[ChampionPointer], T],
        clock: Clock,
        max_age: float = MAX_AGE,
    ) -> None:
        self._champions = champions
        self._load = load
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._checked = float("-inf")
        self._etag = ""
        self._model: T | None = None

    def get(self) -> T:
        """Return the newest model that could be loaded.

        Raises:
            ServiceUnavailable: there is no model yet; the caller's work goes back to its queue.
        """
        model = self._model
        if model is not None and self._clock.now() - self._checked < self._max_age:
            return model
        with self._lock:
            # a missing pointer is read every time: the first model may come at any moment
            if self._model is None or self._clock.now() - self._checked >= self._max_age:
                self._revalidate()
                self._checked = self._clock.now()
            if self._model is None:
                raise ServiceUnavailable(NO_MODEL)
            return self._model

    def _revalidate(self) -> None:
        try:
            changed = self._champions.changed(self._etag)
            if changed is not None:
                self._use(*changed)
        except OctospoonError as error:
            # the old model keeps serving; the next revalidation tries again
            if self._model is None and not isinstance(error, BadModel):
                raise
            LOG.exception("the champion cannot be loaded")

    def _use(self, pointer: ChampionPointer, etag: str) -> None:
        try:
            self._model = self._load(pointer)
        except BadModel:
            if self._model is None:
                if pointer.previous is None:
                    raise
                self._model = self._load(pointer.previous)
            LOG.exception("version %d cannot be loaded: the previous model keeps serving", pointer.version)
        else:
            LOG.info("now predicting with version %d", pointer.version)
        self._etag = etag  # a model that fails to load is not retried until the pointer changes
