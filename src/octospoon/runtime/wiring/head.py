"""The head of the model in service: embeddings -> probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.task_types.named import check_activation
from octospoon.runtime import aws
from octospoon.runtime.wiring import model_files
from octospoon.usecases.champion import CurrentModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.models import Champions
    from octospoon.usecases.rescore import Head

PointerAndHead = tuple["ChampionPointer", "Head | None"]


def current_head(champions: Champions, task_type: TaskType) -> Callable[[], PointerAndHead]:
    """Return a function that gives the head in service; it reads the pointer at every call."""
    return CurrentModel(champions, head_loader(champions, task_type), aws.CLOCK, max_age=0.0).get


def head_loader(champions: Champions, task_type: TaskType) -> Callable[[ChampionPointer], PointerAndHead]:
    """Return a function that downloads, verifies and opens a pointer's head."""

    def load_head(pointer: ChampionPointer) -> PointerAndHead:
        if not pointer.head_key:
            return pointer, None
        head = OnnxHead(champions.fetch_head(pointer, model_files.model_folder()))
        check_activation(task_type, head.activation)
        return pointer, head

    return load_head
