"""octospoon classes list: the classes, their labels and their changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import line_table, print_json, print_line, print_line_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.domain.labelling.classes import ClassHistory, KnownClass

app = typer.Typer()


@app.command(
    "list",
    cls=Command,
    epilog=examples("octospoon classes list", "octospoon classes list --json"),
)
def list_classes(stack: Stack = None, as_json: AsJson = False) -> None:
    """List the classes with their labels, and every change.

    Use it before you change a class, or to see what `octospoon classes undo` would undo. It reads every
    label.
    """
    from collections import Counter

    from octospoon.cli.deployment import find_deployment

    deployment = find_deployment(stack)
    history = deployment.class_record().read()
    named = deployment.task_type.labels.classes
    labels = Counter(name for image in deployment.labels.labelled() for name in named(image.label))
    if as_json:
        print_json(document(history, labels))
        return
    table = line_table("class", "labels", "earlier names", "state")
    for own in history.known.values():
        earlier = ", ".join(name for name in own.names if name != own.name)
        table.add_row(own.name, str(labels[own.name]) if own.active else "", earlier, _state(own, history))
    print_line_table(table)
    for change in history.changes:
        when = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%d %H:%M")
        print_line(f"{when} UTC: {change}{', undone' if change.undone else ''}")


def document(history: ClassHistory, labels: Mapping[str, int]) -> dict[str, Any]:
    """Return the classes and their changes for programs.

    Args:
        history: the classes.
        labels: number of labelled images of each class.
    """
    return {
        "classes": [
            {
                "name": own.name,
                "labels": labels.get(own.name, 0) if own.active else 0,
                "earlier_names": [name for name in own.names if name != own.name],
                "state": "merged" if own.into else "retired" if own.retired else "active",
                "merged_into": history.current(own.key) if own.into else None,
            }
            for own in history.known.values()
        ],
        "changes": [
            {
                "change": str(change.kind),
                "names": change.names,
                "into": change.into or None,
                "at": change.at,
                "undone_at": change.undone_at or None,
            }
            for change in history.changes
        ],
    }


def _state(own: KnownClass, history: ClassHistory) -> str:
    fate = history.fate(own.key)
    return f"{fate}: its labels are kept" if own.retired and not own.into else fate
