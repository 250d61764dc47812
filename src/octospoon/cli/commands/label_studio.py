"""octospoon label-studio-project and label-studio-connect: connect a Label Studio to a stack on AWS."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import Command, Instruction, Stack, examples
from octospoon.cli.output import print_line
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.domain.labelling.classes import ClassHistory

app = typer.Typer()
Url = Annotated[
    str,
    typer.Option("--url", help="Address of Label Studio. Its token is read from LABEL_STUDIO_TOKEN."),
]
UrlOfStack = Annotated[
    str,
    typer.Option(
        "--url",
        help="Address of Label Studio; its token: LABEL_STUDIO_TOKEN (default: both of the stack).",
    ),
]
ProjectOfStack = Annotated[
    int,
    typer.Option("--project", help="Id of the project (default: that of the stack).", show_default=False),
]
NewKey = Annotated[
    bool,
    typer.Option(
        "--new-key", help="Make an access key of the stack's user, who only reads images, for Label Studio."
    ),
]
OwnRole = Annotated[
    bool, typer.Option("--own-role", help="Let Label Studio read images with the role that it runs with.")
]
ReplaceInterface = Annotated[
    bool,
    typer.Option(
        "--replace-interface",
        help="Replace a labelling interface that was changed by hand (default: it stays).",
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        "--task-type",
        metavar="TYPE",
        help="What annotators say: classification (default), multilabel or detection; with --stack, that "
        "of the stack.",
        show_default=False,
    ),
]
ClassesOfStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="Take the classes of this stack, as `octospoon classes` changed them, instead of --classes.",
    ),
]


@app.command(
    "label-studio-project",
    cls=Command,
    epilog=examples("octospoon label-studio-project --url https://labels.example.com --classes cat,dog"),
)
def label_studio_project(
    url: Url,
    classes: Annotated[str, typer.Option("--classes", help="Class names, separated by commas.")] = "",
    title: Annotated[str, typer.Option(help="Title of the project.")] = "octospoon",
    instruction: Instruction = None,
    replace_interface: ReplaceInterface = False,
    stack: ClassesOfStack = None,
    task_type: Kind = "",
) -> None:
    """Create the project in Label Studio, and print its id.

    Use it before you deploy to AWS: the stack's parameter LabelStudioProject takes the id. A project of this
    title is used again. Classes that were renamed there keep the names that Label Studio stores.
    """
    from octospoon.adapters.label_studio.controls import control_named
    from octospoon.adapters.label_studio.setup import LabelStudioSetup
    from octospoon.cli.operations.instruction import read_instruction

    text = read_instruction(instruction) if instruction else ""
    names, history, kind = _classes(classes, stack, task_type)
    with closing(_label_studio(url)) as api:
        setup = LabelStudioSetup(api)
        control = control_named(kind)
        project = setup.project(title, names, control, history, replace_interface=replace_interface)
        if text:
            setup.instruct(project, text)
    print_line(str(project))


@app.command(
    "label-studio-connect",
    cls=Command,
    epilog=examples("octospoon label-studio-connect --stack prod --new-key"),
)
def label_studio_connect(
    url: UrlOfStack = "",
    project: ProjectOfStack = 0,
    new_key: NewKey = False,
    own_role: OwnRole = False,
    stack: Stack = None,
) -> None:
    """Connect a project in Label Studio to a deployed stack.

    Use it once, after the first deployment to AWS. The project then shows the images of the bucket, and
    calls the stack's webhook for every answer. Your own AWS keys stay with you. Without --new-key and
    --own-role, Label Studio keeps the rights that it has. To rotate the key, use --new-key again.
    """
    from octospoon.adapters.label_studio.setup import LabelStudioSetup
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.label_studio_access import Credentials, connect, connected

    if new_key and own_role:
        raise BadRequest("--new-key and --own-role do not go together")
    credentials = Credentials.NEW_KEY if new_key else Credentials.ROLE if own_role else Credentials.KEPT
    deployment = find_deployment(stack)
    number = project or deployment.label_studio_project
    # the stack's token goes to the stack's address only
    with closing(_label_studio(url) if url else deployment.label_studio()) as api:
        made = connect(LabelStudioSetup(api), number, deployment, credentials)
    for line in connected(number, made):
        print_line(line)


def _classes(
    classes: str, stack: str | None, task_type: str
) -> tuple[tuple[str, ...], ClassHistory | None, str]:
    """Return the class names, their history if they are those of a stack, and the task type."""
    from octospoon.cli.deploy.class_names import class_names
    from octospoon.cli.deployment import find_deployment
    from octospoon.domain.task_types.named import task_type_named
    from octospoon.domain.task_types.names import TaskTypeName

    if bool(classes) == bool(stack):
        raise BadRequest("give either --classes, or --stack for the classes of a deployed stack")
    if not stack:
        return class_names(classes), None, task_type_named(task_type or TaskTypeName.CLASSIFICATION).name
    deployment = find_deployment(stack)
    if task_type not in ("", deployment.task_type.name):
        raise BadRequest(f"the stack {stack} has labels of {deployment.task_type.name}, not of {task_type}")
    history = deployment.class_record().read()
    return history.names, history, deployment.task_type.name


def _label_studio(url: str) -> LabelStudioApi:
    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.domain.secrets import header_secret

    value = os.environ.get("LABEL_STUDIO_TOKEN")
    if not value:
        raise NotConfigured("set LABEL_STUDIO_TOKEN to a token of Label Studio (Account & Settings)")
    token = header_secret("LABEL_STUDIO_TOKEN", value)
    return LabelStudioApi(url, lambda: token)
