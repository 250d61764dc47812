"""Check that this folder is a checkout in which a local stack can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.parameters import TEMPLATE
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.stack.layout import Layout

_INSTALLED = ".installed"
_PLUGGED = ".plugged"
PLUGIN = "infra/localstack/process-executor/pyproject.toml"


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
    if outdated := _outdated(layout):
        raise NotConfigured(
            f"{', '.join(outdated)}: installed for an earlier version of this checkout: run `make up`, which "
            "installs what has changed"
        )
    built = layout.home / "build"
    names = sam_template.functions(sam_template.read(template))
    if not all((built / name / "app.py").is_file() for name in names):
        raise NotConfigured("the functions are not built yet: run `make up`, or `make build`")


def _outdated(layout: Layout) -> list[str]:
    """Return the environments that are older than their definition, as make sees them.

    A LocalStack without the newest plug-in would answer and keep nothing.
    """
    sources = {
        "label-studio": (_INSTALLED, layout.requirements("label-studio")),
        "mlflow": (_INSTALLED, layout.requirements("training")),
        "localstack": (_PLUGGED, layout.root / PLUGIN),
        "lambda": (_INSTALLED, layout.requirements("lambda-runtime")),
    }
    return [
        name
        for name, (stamp, source) in sources.items()
        if _changed(layout.program(name, "python").parents[1] / stamp) < _changed(source)
    ]


def _changed(path: Path) -> float:
    """Return when a file was changed, in epoch seconds; 0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
