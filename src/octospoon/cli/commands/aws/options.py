"""Options that several commands of `octospoon aws` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from octospoon.cli.operations.aws.image.builder import Builder

File = Annotated[
    Path | None,
    typer.Option("--file", metavar="FILE", help="Parameter file (default: the only samconfig-….toml here)."),
]
BuilderOption = Annotated[
    Builder,
    typer.Option(
        "--builder",
        help="What builds the training image: docker on this machine, codebuild on AWS, or auto, which is "
        "docker if an engine answers.",
    ),
]
