"""octospoon dlq: list the messages that failed for good, or give them back to their queues."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Group, Stack, examples
from octospoon.cli.output import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.operations.dead_letters import DeadLetter

app = typer.Typer()
group = typer.Typer(cls=Group, no_args_is_help=True)
app.add_typer(
    group,
    name="dlq",
    help="List the messages that failed for good, or give them back to their queues.",
    epilog=examples("octospoon dlq list"),
)
Queues = Annotated[
    list[str] | None, typer.Argument(metavar="QUEUE", help="Queues such as uploads (default: all).")
]


@group.command(
    "list", cls=Command, epilog=examples("octospoon dlq list", "octospoon dlq list uploads --json")
)
def show(queues: Queues = None, stack: Stack = None, as_json: AsJson = False) -> None:
    """List the messages that failed for good, and why.

    Use it when `octospoon status` or an alarm reports dead letters. It shows up to ten messages of each
    queue, and the error that the function logged.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import dead_letters

    all_queues = dead_letters.read(find_deployment(stack), queues or ())
    if as_json:
        print_json(all_queues)
        return
    for queue in all_queues:
        print_line(f"{queue.queue}: {queue.dead_letters:,} dead letters")
        for letter in queue.letters:
            for line in _lines(letter):
                print_line(f"  {line}")


def _lines(letter: DeadLetter) -> Iterator[str]:
    when = datetime.fromtimestamp(letter.sent_at, UTC).strftime("%Y-%m-%d %H:%M")
    yield f"sent {when}, {letter.tries} tries"
    if letter.reason:
        yield f"  why   {letter.reason}"
    yield f"  body  {letter.body}"


@group.command(
    cls=Command, epilog=examples("octospoon dlq redrive", "octospoon dlq redrive uploads annotations")
)
def redrive(queues: Queues = None, stack: Stack = None, as_json: AsJson = False) -> None:
    """Give failed messages back to their queues.

    Use it once the cause of the failures is gone. A message that fails again comes back to the dead letters
    after its last try. Nothing is counted twice.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import dead_letters

    moved = dead_letters.redrive(find_deployment(stack), queues or ())
    if as_json:
        print_json(moved)
        return
    counts = ", ".join(f"{count} to {name}" for name, count in moved.items())
    print_line(f"given back: {counts}" if counts else "there are no dead letters")
