"""octospoon ui: the page that shows the pool, the batches and the images."""

from __future__ import annotations

from typing import Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_line

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon ui", "octospoon ui --stack prod --port 9000"))
def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of this machine; 0 takes a free one.")
    ] = 8188,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and do not open it.")
    ] = False,
    stack: Stack = None,
) -> None:
    """Show the pool, the batches and the images in the browser.

    Use it to look at the data: a map of all images, why each image of a batch was chosen, and the story of
    one image. It serves the page on this machine alone, until Ctrl+C, and acts with your own rights. The
    address contains a secret token.
    """
    from octospoon.cli.extras import require

    require("ui", "octospoon ui")
    import webbrowser

    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.failures import sentence
    from octospoon.cli.operations.ui import backend
    from octospoon.runtime.aws import CLOCK
    from octospoon.ui import server
    from octospoon.ui.guard import new_token
    from octospoon.ui.pages import Pages

    pages = Pages(backend(find_deployment(stack)), CLOCK)
    token, listener = new_token(), server.listen(port)
    address = server.address(listener, token)
    print_line(address)
    if not no_browser:
        webbrowser.open(address)
    server.serve(pages, sentence, token, listener)
