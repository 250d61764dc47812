"""Changes the classes of a deployment: its labelling interface, its record of classes, and its training."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.controls import control_of
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.domain.errors import Conflict, NotConfigured
from octospoon.domain.labelling.classes import ChangeKind, ClassHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.classes import ClassChange

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Changed:
    """The outcome of a change.

    Attributes:
        history: the classes and their changes, from now on.
        change: the change that was made or undone; None if the classes were so already.
        interface: False if people changed the labelling interface, so that it does not follow.
    """

    history: ClassHistory
    change: ClassChange | None
    interface: bool


def change(deployment: Deployment, step: Callable[[ClassHistory, float], ClassHistory]) -> Changed:
    """Change the classes of a deployment; a call that was interrupted can be repeated.

    The labelling interface changes first. An answer with a class that the record does not know yet counts
    after the next run of `reconcile`. In the other order, a repeated `undo` would undo two changes.

    Args:
        deployment: the deployment.
        step: returns the changed history of a history, at a time in epoch seconds.

    Raises:
        BadRequest: the change is not allowed.
        Conflict: other people keep changing the classes.
    """
    record = deployment.class_record()
    for _ in range(_ATTEMPTS):
        before = record.read()
        after = step(before, time.time())
        with closing(deployment.label_studio()) as api:
            offered = LabelStudioSetup(api).offer(
                deployment.label_studio_project, after, control_of(deployment.task_type)
            )
        if after.revision == before.revision:
            return Changed(after, None, offered)
        if record.save(before, after):
            made = _difference(before, after)
            if made.undone or made.kind in (ChangeKind.MERGE, ChangeKind.RETIRE):
                deployment.control.request(f"the classes changed: {made}{' undone' if made.undone else ''}")
            return Changed(after, made, offered)
    raise Conflict("somebody else keeps changing the classes: run the command again")


def _difference(before: ClassHistory, after: ClassHistory) -> ClassChange:
    return next(change for change in reversed(after.changes) if change not in before.changes)


def at_start(deployment: Deployment | None, asked: Sequence[str]) -> ClassHistory:
    """Return the classes that a local stack starts with; nothing is stored.

    Args:
        deployment: the stack before; None for a new one.
        asked: class names of the command line, or of the last time. Names that the project does not know
            are added.

    Raises:
        NotConfigured: a class of the project is missing or at another position, and no class was changed by
            `octospoon classes` yet.
    """
    if deployment is None:
        return ClassHistory(tuple(asked))
    history = deployment.class_record().read()
    if not history.revision and tuple(asked[: len(history.names)]) != history.names:
        raise NotConfigured(
            f"the project has the classes {','.join(history.names)}: `octospoon classes` renames, merges and "
            f"retires them. {','.join(asked)} must begin with this list"
        )
    return history.add([name for name in asked if history.of(name) is None], time.time())


def settle(deployment: Deployment, started: ClassHistory, setup: LabelStudioSetup, project: int) -> None:
    """Store the classes that a stack started with, unless its record has newer ones, which are offered then.

    Args:
        deployment: the running stack.
        started: the result of `at_start`.
        setup: of its Label Studio.
        project: id of the Label Studio project.
    """
    record = deployment.class_record()
    stored = record.read()
    if started.revision > stored.revision and record.save(stored, started):
        return
    if stored.revision:
        setup.offer(project, stored, control_of(deployment.task_type))
