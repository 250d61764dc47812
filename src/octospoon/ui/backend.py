"""What the page needs of a deployment.

The command line wires it: the page itself knows no settings and no sign-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.trace import Trace
    from octospoon.runtime.wiring.storage import Storage
    from octospoon.usecases.rank import RankReport
    from octospoon.usecases.rescore import Head


@dataclass(frozen=True, slots=True)
class Backend:
    """A deployment, as the page uses it.

    Attributes:
        name: what people call it.
        local: whether reading the pool is free, as on a local stack.
        folder: for what the page keeps on this machine; made if it is missing.
        storage: the tables and buckets.
        history: the project's classes.
        links: the addresses of other pages for people, by name.
        trace: tells the story of an image.
        preview: chooses the next round and stores nothing.
        rank: runs `rank` now.
        head: opens the head of a version.
        run: gives the address of the run in MLflow that made a version; empty without one.
        dead_letters: reads the messages that failed for good, by queue, as JSON can hold them.
        spent: asks AWS what the deployment has cost, as JSON can hold it; each question costs 0.01 USD.
        sentence: says in one sentence what an error means.
        read_cost: dollars for reading a million rows of the pool.
    """

    name: str
    local: bool
    folder: Path
    storage: Storage
    history: Callable[[], ClassHistory]
    links: Callable[[], Mapping[str, str]]
    trace: Callable[[str], Trace]
    preview: Callable[[], Round]
    rank: Callable[[], RankReport]
    head: Callable[[ChampionPointer], Head]
    run: Callable[[int], str]
    dead_letters: Callable[[], Sequence[dict[str, Any]]]
    spent: Callable[[], dict[str, Any]]
    sentence: Callable[[BaseException], str]
    read_cost: float
