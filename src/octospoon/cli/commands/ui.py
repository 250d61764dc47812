"""octospoon ui: the page that shows the pool, the batches and the images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_line

if TYPE_CHECKING:
    from octospoon.ui.pages import Pages

app = typer.Typer()


_Port = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=65535,
        help="Port of this machine (default: 8188, or a free one if it is taken).",
        show_default=False,
    ),
]
_NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Print the address, and do not open it.")]
_Export = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Write the page as static files into this new folder, and serve nothing."
    ),
]
_Images = Annotated[int, typer.Option(min=0, help="With --export: most images with a thumbnail.")]


@app.command(
    cls=Command,
    epilog=examples("octospoon ui", "octospoon ui --stack prod --port 9000", "octospoon ui --export report/"),
)
def ui(
    port: _Port = None,
    no_browser: _NoBrowser = False,
    export: _Export = None,
    images: _Images = 2000,
    stack: Stack = None,
) -> None:
    """Show the pool, the batches and the images in the browser.

    Use it to look at the data: a map of all images, why each image of a batch was chosen, and the story of
    one image. It serves the page on this machine alone, until Ctrl+C, and acts with your own rights. The
    address contains a secret token.
    """
    from octospoon.cli.extras import require

    require("ui", "octospoon ui")
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.ui import backend
    from octospoon.runtime.aws import CLOCK
    from octospoon.ui.pages import Pages

    shown = backend(find_deployment(stack))
    pages = Pages(shown, CLOCK)
    if export is None:
        _serve(pages, shown.folder, port, browser=not no_browser)
        return
    from octospoon.ui.export import export as write

    done = write(pages, export, images)
    print_line(
        f"{export}: {done.images:,} images, {done.thumbnails:,} with a thumbnail, {done.size / 1e6:.1f} MB; "
        f"open {export / 'index.html'}"
    )


def _serve(pages: Pages, folder: Path, port: int | None, *, browser: bool) -> None:
    import webbrowser

    from octospoon.cli.failures import sentence
    from octospoon.cli.operations import page_address
    from octospoon.cli.stack.signals import TerminationAsExit
    from octospoon.ui import server
    from octospoon.ui.guard import new_token

    ended = TerminationAsExit()  # or the address would stay when `octospoon down` ends the page
    token, listener = new_token(), server.listen(port)
    address = server.address(listener, token)
    page_address.write(folder, address)
    print_line(address)
    if browser:
        webbrowser.open(address)
    try:
        server.serve(pages, sentence, token, listener)
    finally:
        page_address.forget(folder)
        ended.restore()
