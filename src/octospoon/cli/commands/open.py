"""octospoon open: show a page of a deployment in the browser."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_line
from octospoon.domain.errors import NotConfigured

app = typer.Typer()


class Page(StrEnum):
    """A page for people."""

    LABEL_STUDIO = "label-studio"
    MLFLOW = "mlflow"


@app.command(
    "open",
    cls=Command,
    epilog=examples("octospoon open label-studio", "octospoon open mlflow --stack prod"),
)
def open_page(
    page: Annotated[Page, typer.Argument(help="The page to open.", show_default=False)],
    stack: Stack = None,
) -> None:
    """Open Label Studio or MLflow in the browser.

    Use it to label a batch or to look at the training runs. It also prints the address, for a machine without
    a browser. `octospoon status` shows how to sign in.
    """
    import webbrowser

    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.addresses import addresses_of

    addresses = addresses_of(find_deployment(stack))
    address = {Page.LABEL_STUDIO: addresses.label_studio, Page.MLFLOW: addresses.mlflow}[page]
    if not address:
        raise NotConfigured("the stack has no MLflow: set the parameter MlflowTrackingUri, and deploy again")
    print_line(address)
    webbrowser.open(address)
