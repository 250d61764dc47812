"""`python -m octospoon.cli.stack template [SERVICE...]`: what `make` runs once the environments are there."""

from __future__ import annotations

import sys
from pathlib import Path

from octospoon.cli.stack import make_templates
from octospoon.cli.stack.supervisor import ALL
from octospoon.domain.errors import OctospoonError


def main(arguments: list[str]) -> int:
    """Make the templates of the services that are named, or of all."""
    if arguments[:1] != ["template"]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        make_templates(Path.cwd(), progress=print, services=arguments[1:] or ALL)
    except OctospoonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
