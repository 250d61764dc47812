"""octospoon aws deploy: from the parameter file to a working stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.aws.options import BuilderOption, File
from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.operations.aws.image.builder import Builder
from octospoon.cli.output import print_line, timed_progress

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

app = typer.Typer()


@app.command(
    cls=Command, epilog=examples("octospoon aws deploy", "octospoon aws deploy --file samconfig-prod.toml")
)
def deploy(
    file: File = None,
    backbone: Annotated[
        str,
        typer.Option(metavar="NAME", help="Backbone of a new stack (default: one for photos or boxes)."),
    ] = "",
    builder: BuilderOption = Builder.AUTO,
    stack: Stack = None,
) -> None:
    """Deploy the stack of a parameter file, and make it ready for images.

    Use it after `octospoon aws init`, and again after every change of the file or of octospoon. It packages
    the functions for the chosen processor without Docker, and deploys them. A launcher other than queue also
    gets its training image, as by `octospoon aws image`. A new stack gets its first model. Then the command
    connects Label Studio and ends with `octospoon doctor`. You can stop and repeat it at any time.
    """
    from octospoon.cli.extras import require

    require("local", "octospoon aws deploy")
    from octospoon.cli.commands.doctor import report
    from octospoon.cli.deployment.session import CHOICE, localstack, session
    from octospoon.cli.doctor.doctor import findings
    from octospoon.cli.local.first_model import FirstModel
    from octospoon.cli.operations.aws.deployment_steps import deploy_file
    from octospoon.cli.operations.aws.parameter_file import chosen_file, read

    path, progress = chosen_file(file, stack), timed_progress()
    choices = read(path)
    CHOICE.region = CHOICE.region or choices.region
    first_model = FirstModel(backbone, progress, choices.parameters)
    deployment = deploy_file(path, session(localstack()), localstack(), first_model, progress, builder)
    progress("checking every part")
    report(findings(deployment))
    _say_what_follows(f"--stack {choices.stack} --region {choices.region}", deployment)


def _say_what_follows(options: str, deployment: Deployment) -> None:
    if policy := deployment.outputs.get("WorkerPolicyArn"):
        print_line(
            f"training needs a worker: attach {policy} to the user or role of a machine, and run there:"
        )
        print_line(f"octospoon worker {options}")
    print_line(f"upload images: octospoon drop DIR {options}")
