"""The keys of `octospoon status --json` are public: the reference describes each of them."""

from __future__ import annotations

from dataclasses import is_dataclass
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from octospoon.cli.operations import addresses, queues, reading_status, status
from octospoon.domain.labelling import answers, removals, tasks
from octospoon.domain.monitoring import drift
from octospoon.domain.training import backbone_change

PAGE = Path(__file__).parents[3] / "docs/reference/status-json.md"
NAMES = {
    name: value
    for module in (answers, removals, tasks, drift, addresses, queues, reading_status, backbone_change)
    for name, value in vars(module).items()
}
PARTS = (status.__name__, addresses.__name__, queues.__name__, reading_status.__name__)


def keys(part: type) -> list[str]:
    """Return the dotted keys of a part; the first queue's name stands for all queues."""
    names = []
    for name, kind in get_type_hints(part, localns=NAMES).items():
        parts = [
            type_ for type_ in (kind, *get_args(kind)) if is_dataclass(type_) and type_.__module__ in PARTS
        ]
        prefix = f"{name}.uploads" if get_origin(kind) is dict else name
        inner = (
            [f"{prefix}.{key}" for type_ in parts for key in keys(type_)]
            if get_origin(kind) is not list
            else []
        )
        names += inner or [name]
    return names


def test_the_reference_describes_every_key() -> None:
    described = PAGE.read_text("utf-8")
    names = keys(status.Status)

    assert {"images", "model.version", "queues.uploads.waiting", "addresses.mlflow"} <= set(names)
    assert [key for key in names if f"`{key}`" not in described] == []
