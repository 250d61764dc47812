"""octospoon invite: the address at which another annotator signs up."""

from __future__ import annotations

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_json, print_lines

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon invite", "octospoon invite --stack prod --json"),
)
def invite(stack: Stack = None, as_json: AsJson = False) -> None:
    """Print the address at which another annotator signs up.

    Use it when several people label. Everybody with this address can create an account in Label Studio. Reset
    the address in Label Studio, under Organization, once it is no longer needed.
    """
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.local.addresses import shared_address
    from octospoon.cli.operations.invitation import invitation

    address = invitation(find_deployment(stack))
    address = shared_address(address) or address
    if as_json:
        print_json({"address": address})
        return
    print_lines(["Send this address to another annotator, who signs up there:", address])
