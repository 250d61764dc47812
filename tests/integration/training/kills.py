"""Kill a job after one of its writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from octospoon.training.context import TrainingPorts


class Killed(BaseException):
    """The process was killed: no error handler catches this."""


@dataclass
class Steps:
    """Counts the writes of a job, and kills the process after one; 0 kills before the first."""

    kill_after: int
    names: list[str] = field(default_factory=list)

    def step(self, name: str, call: Callable[[], Any]) -> Any:
        if self.kill_after == 0:
            raise Killed
        result = call()
        self.names.append(name)
        if len(self.names) == self.kill_after:
            raise Killed
        return result


@dataclass
class Watched:
    """A port whose writes are counted."""

    target: Any
    steps: Steps
    writes: Collection[str]

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.target, name)
        if name not in self.writes:
            return value
        return lambda *given, **named: self.steps.step(name, lambda: value(*given, **named))


def watched(
    ports: TrainingPorts, names: Iterable[str], writes: Collection[str], steps: Steps
) -> TrainingPorts:
    """Return the ports of a job with the writes of some of them counted."""
    counted: dict[str, Any] = {name: Watched(getattr(ports, name), steps, writes) for name in names}
    return replace(ports, **counted)
