"""What every command that changes the classes prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.output import print_error_line, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.labelling.classes import ClassHistory


def make_change(
    stack: str | None, step: Callable[[ClassHistory, float], ClassHistory], *, as_json: bool
) -> None:
    """Change the classes of a deployment and print the result.

    Args:
        stack: name of the stack; None for the default.
        step: returns the changed history of a history, at a time in epoch seconds.
        as_json: print one JSON document.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.classes import change

    changed = change(find_deployment(stack), step)
    if not changed.interface:
        print_error_line(
            "the labelling interface was changed by hand and stays: `octospoon doctor` says what to do"
        )
    if as_json:
        made = changed.change
        print_json(
            {
                "classes": changed.history.names,
                "change": None if made is None else str(made),
                "undone": made is not None and made.undone,
                "interface_follows": changed.interface,
            }
        )
        return
    print_line(f"classes: {', '.join(changed.history.names)}")
    if changed.change is None:
        print_line("nothing changed: the classes were so already")
    elif changed.change.undone:
        print_line(f"undone: {changed.change}")
    else:
        print_line("`octospoon classes undo` undoes it")


def names(text: str) -> tuple[str, ...]:
    """Return comma-separated class names, checked; raises BadRequest if one cannot be stored or shown."""
    from octospoon.cli.deploy.class_names import checked_names

    return checked_names(text, "a class")
