"""What `make` runs once the environments are there.

python -m octospoon.cli.stack template [SERVICE...]   do the slow part of first starts now
python -m octospoon.cli.stack seed                    write infra/label-studio/seed.sql again
"""

from __future__ import annotations

import sys
from pathlib import Path

from octospoon.cli.stack import make_templates
from octospoon.cli.stack.supervisor import ALL, make_seed
from octospoon.domain.errors import OctospoonError


def main(arguments: list[str]) -> int:
    """Do what the first argument says; return the exit code."""
    try:
        match arguments:
            case ["template", *services]:
                make_templates(Path.cwd(), progress=print, services=services or ALL)
            case ["seed"]:
                make_seed(Path.cwd(), progress=print)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except OctospoonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
