"""Check that this folder is a checkout in which a local stack can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.parameters import TEMPLATE
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from octospoon.cli.stack.layout import Layout


def check_checkout(layout: Layout) -> None:
    """Find problems before a server starts.

    Raises:
        NotConfigured: this is not a checkout, or it is not set up; the message says what to do.
    """
    if any(character.isspace() for character in str(layout.root)):
        raise NotConfigured(
            f"the path {str(layout.root)!r} contains a space, which make cannot handle: move the checkout, "
            "for example to ~/octospoon"
        )
    template = layout.root / TEMPLATE
    if not template.is_file():
        raise NotConfigured(
            f"{layout.root} is not a checkout of octospoon: change to the folder that has template.yaml"
        )
    missing = [name for name in (*SERVICES, "lambda") if not layout.program(name, "python").exists()]
    if missing:
        raise NotConfigured(
            f"this checkout is not set up yet: run `make up`, which installs {', '.join(missing)}"
        )
    built = layout.home / "build"
    names = sam_template.functions(sam_template.read(template))
    if not all((built / name / "app.py").is_file() for name in names):
        raise NotConfigured("the functions are not built yet: run `make up`, or `make build`")
