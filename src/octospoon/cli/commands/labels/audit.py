"""octospoon labels audit: let people confirm a uniform sample of the imported labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines

if TYPE_CHECKING:
    from octospoon.cli.operations.label_audit import Confirmed
    from octospoon.usecases.draw_audit import AuditDraw

app = typer.Typer()


@app.command(
    "audit", cls=Command, epilog=examples("octospoon labels audit --count 50", "octospoon labels audit")
)
def audit(
    count: Annotated[
        int, typer.Option(min=0, metavar="N", help="Draw this many images, and export them as tasks.")
    ] = 0,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Let people confirm a uniform sample of the imported labels.

    Use it after an import, because imported labels never measure a model. The drawn images join the audit
    share: people label them without seeing the imported class. Without --count it shows how many imported
    labels they confirmed.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations import label_audit

    deployment = find_deployment(stack)
    drawn, note = label_audit.draw(deployment, count) if count else (None, "")
    confirmed = label_audit.confirmed(deployment)
    if as_json:
        print_json({"draw": drawn, "note": note, "confirmed": confirmed})
    else:
        print_lines([*_drawn(drawn, note), *_confirmed(confirmed)])


def _drawn(drawn: AuditDraw | None, note: str) -> list[str]:
    if drawn is None:
        return []
    what = f"{drawn.drawn:,} of {drawn.imported:,} images with imported labels"
    return [f"round {drawn.round_number}: {what} wait for people to confirm them", *([note] if note else [])]


def _confirmed(confirmed: Confirmed) -> list[str]:
    lines = [f"{confirmed.answered:,} of {confirmed.drawn:,} drawn images are answered"]
    if confirmed.answered:
        right = confirmed.right
        lines.append(
            f"the imported class is right on {right.value:.1%} of them (95 % interval {right.low:.1%} to "
            f"{right.high:.1%})"
        )
    lines += [
        f"{label.key}: imported as {label.imported}, people say {label.answered}"
        for label in confirmed.others
    ]
    return lines
