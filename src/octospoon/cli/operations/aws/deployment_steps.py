"""`octospoon aws deploy`: from the parameter file to a stack that scores. Every step can be repeated."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.deployer import deploy
from octospoon.cli.deploy.parameters import TEMPLATE
from octospoon.cli.deploy.rules import demanded, with_defaults
from octospoon.cli.deployment import Deployment
from octospoon.cli.deployment.outputs import Outputs
from octospoon.cli.operations.aws.account import check_account, check_parameters
from octospoon.cli.operations.aws.built_for import check_artefacts
from octospoon.cli.operations.aws.image.build import ImageStack, training_image
from octospoon.cli.operations.aws.image.builder import Builder
from octospoon.cli.operations.aws.image.repository import IMAGE
from octospoon.cli.operations.aws.parameter_file import read, set_parameter
from octospoon.cli.operations.aws.training_account import ensure_roles
from octospoon.cli.operations.first_model import begin_with
from octospoon.cli.operations.label_studio_access import Credentials, connect, connected
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3

    from octospoon.cli.operations.aws.parameter_file import Choices

_MAKEFILE = Path("infra/build/Makefile")
_ON_AWS, _LOCAL = Path(".octospoon/build-aws"), Path(".octospoon/build")


def deploy_file(
    path: Path,
    session: boto3.Session,
    endpoint_url: str | None,
    first_model: Callable[[], bytes],
    progress: Callable[[str], None],
    builder: Builder = Builder.AUTO,
) -> Deployment:
    """Package, deploy, give the first model and connect Label Studio; return the deployment.

    Args:
        path: of the parameter file. It gets the address of the training image, if there is one.
        session: for AWS, or for LocalStack.
        endpoint_url: of LocalStack, in a rehearsal; None for AWS.
        first_model: returns the model that a new stack begins with.
        progress: receives a line of text for each step.
        builder: what builds the training image.

    Raises:
        NotConfigured: the account, a parameter or a built function is wrong, or the image cannot be built.
    """
    choices = store_image(path, session, endpoint_url, progress, builder)
    build_dir = _build(choices, endpoint_url, progress)
    iam = session.client("iam", endpoint_url=endpoint_url)
    ensure_roles(iam, with_defaults(sam_template.read(TEMPLATE), choices.parameters), progress)
    outputs = deploy(
        template=TEMPLATE,
        build_dir=build_dir,
        endpoint_url=endpoint_url,
        stack_name=choices.stack,
        parameters=dict(choices.parameters),
        progress=progress,
        by_path=endpoint_url is not None,
    )
    deployment = Deployment(Outputs(outputs), endpoint_url)
    progress("looking for a model in service")
    begin_with(deployment, first_model)
    progress("connecting Label Studio")
    _connect(deployment, progress)
    return deployment


def store_image(
    path: Path,
    session: boto3.Session,
    endpoint_url: str | None,
    progress: Callable[[str], None],
    builder: Builder = Builder.AUTO,
) -> Choices:
    """Check the account, make the training image if the launcher needs one, and name it in the file.

    Args:
        path: of the parameter file.
        session: for AWS, or for LocalStack.
        endpoint_url: of LocalStack; None for AWS.
        progress: receives a line of text for each step.
        builder: what builds the image.

    Returns:
        The choices of the file as it is then.
    """
    choices, template = read(path), sam_template.read(TEMPLATE)
    check_parameters(template, choices.parameters)
    progress(f"checking the account for the stack {choices.stack}")
    everything = with_defaults(template, choices.parameters)
    account = check_account(session, endpoint_url, choices.stack, everything)
    list(map(progress, account.notes))
    if IMAGE not in demanded(template, choices.parameters):
        return choices
    progress("looking for the training image")
    where = ImageStack(choices.stack, session, endpoint_url, progress)
    set_parameter(path, IMAGE, training_image(choices, where, builder))
    return read(path)


def _build(choices: Choices, endpoint_url: str | None, progress: Callable[[str], None]) -> Path:
    """Package the functions for the chosen architecture, without Docker; return their folder."""
    if not _MAKEFILE.is_file():
        raise NotConfigured(
            "run this in a checkout of octospoon: it has the template and builds the functions"
        )
    progress("packaging the functions")
    parameters = choices.parameters
    target = (
        ["local"]
        if endpoint_url
        else [
            "aws",
            f"PYTHON_VERSION={parameters['PythonRuntime'].removeprefix('python')}",
            f"ARCHITECTURE={parameters['Architecture']}",
        ]
    )
    done = subprocess.run(
        ["make", "--no-print-directory", "-j2", "-f", str(_MAKEFILE), *target],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotConfigured(
            f"the functions cannot be packaged: {(done.stderr or done.stdout)[-500:].strip()}"
        )
    if endpoint_url:
        return _LOCAL
    check_artefacts(_ON_AWS, parameters)
    return _ON_AWS


def _connect(deployment: Deployment, progress: Callable[[str], None]) -> None:
    """Connect Label Studio; it gets a new key if it has no access to the bucket yet."""
    project = deployment.label_studio_project
    with closing(deployment.label_studio()) as api:
        setup = LabelStudioSetup(api)
        has_access = setup.has_storage(project, deployment.outputs["ImagesBucket"])
        needs_key = not has_access and "LabelStudioUser" in deployment.outputs
        credentials = Credentials.NEW_KEY if needs_key else Credentials.KEPT
        made = connect(setup, project, deployment, credentials)
    for line in connected(project, made):
        progress(line)
