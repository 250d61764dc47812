"""The wiring of `score`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from octospoon.runtime import aws
from octospoon.runtime.processors import cores
from octospoon.runtime.settings import ScoreSettings, load
from octospoon.runtime.wiring.scoring import current_scorer, images
from octospoon.runtime.wiring.storage import Storage
from octospoon.usecases.score import ScoreUploads

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.usecases.resolve_label import ResolveLabel


def score() -> ScoreUploads:
    """Wire the scoring of uploads."""
    config = load(ScoreSettings)
    storage = Storage(config)
    return ScoreUploads(
        images=images(),
        pool=storage.scoring_pool(config.strategy),
        model=current_scorer(storage.task_type),
        resolve_label=_resolve_label(storage),
        workers=cores(),
        downloads=aws.CONNECTIONS,
    )


def _resolve_label(storage: Storage) -> Callable[[str], object]:
    """Return a function that resolves an image's label.

    Scoring seldom needs it, and a cold start never does: it is loaded at the first call.
    """

    @cache
    def use_case() -> ResolveLabel:
        from octospoon.usecases.resolve_label import ResolveLabel

        return ResolveLabel(storage.labels, storage.task_type, storage.class_history())

    return lambda key: use_case()(key)
