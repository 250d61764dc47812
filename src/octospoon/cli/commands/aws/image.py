"""octospoon aws image: build the training image and store it."""

from __future__ import annotations

import typer

from octospoon.cli.commands.aws.options import BuilderOption, File
from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.operations.aws.image.builder import Builder
from octospoon.cli.output import print_line, timed_progress

app = typer.Typer()


@app.command(cls=Command, epilog=examples("octospoon aws image", "octospoon aws image --builder codebuild"))
def image(file: File = None, builder: BuilderOption = Builder.AUTO, stack: Stack = None) -> None:
    """Build the training image of a parameter file, and store it in your account.

    Use it before `sam deploy` if the launcher is not queue, and again after an upgrade. `octospoon aws
    deploy` does it by itself. It makes a repository in ECR, builds the image for the processor of the tasks,
    and writes the image's address to the file. An image that is there already is not built again.
    """
    from octospoon.cli.extras import require

    require("local", "octospoon aws image")
    from octospoon.cli.deployment.session import CHOICE, localstack, session
    from octospoon.cli.operations.aws.deployment_steps import store_image
    from octospoon.cli.operations.aws.parameter_file import chosen_file, read

    path = chosen_file(file, stack)
    CHOICE.region = CHOICE.region or read(path).region
    choices = store_image(path, session(localstack()), localstack(), timed_progress(), builder)
    if not choices.parameters.get("TrainingImageUri"):
        print_line(f"Launcher={choices.parameters.get('Launcher', 'queue')} needs no training image")
        return
    print_line(f"{path} names it: deploy with `octospoon aws deploy` or `sam deploy`")
