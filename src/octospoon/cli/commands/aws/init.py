"""octospoon aws init: prepare a stack on AWS."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.cli.commands.definition import Command, Stack, examples
from octospoon.cli.output import print_line, timed_progress
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import boto3

    from octospoon.cli.operations.aws.setup import Answers

app = typer.Typer()
_EXAMPLE = "https://labels.example.org"
_DAGSHUB = "dagshub.com/"
_SUBNETS, _GROUPS = "TrainingSubnets", "TrainingSecurityGroups"
Classes = Annotated[str, typer.Option("--classes", help="Class names, separated by commas.")]
LabelStudioUrl = Annotated[
    str,
    typer.Option(
        "--label-studio", metavar="URL", help="Address of Label Studio; its token: LABEL_STUDIO_TOKEN."
    ),
]
MlflowUrl = Annotated[str, typer.Option("--mlflow", metavar="URL", help="Address of MLflow.")]
MlflowUser = Annotated[
    str | None,
    typer.Option(
        "--mlflow-user",
        metavar="NAME",
        help="User name in MLflow, empty for none; its password: MLFLOW_TRACKING_PASSWORD.",
    ),
]
Dagshub = Annotated[
    str | None,
    typer.Option(
        "--dagshub",
        metavar="OWNER/REPOSITORY",
        help="DagsHub repository for snapshots, empty for none; its token: DAGSHUB_USER_TOKEN.",
    ),
]
Launcher = Annotated[
    str, typer.Option("--launcher", help="What runs training: a value of the template's parameter Launcher.")
]
Architecture = Annotated[str, typer.Option(help="Processor of the functions: x86_64 or arm64.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Another parameter of the template; repeatable."),
]


@app.command(
    cls=Command,
    epilog=examples("octospoon aws init", "octospoon aws init --stack prod --launcher ecs"),
)
def init(
    classes: Classes = "",
    label_studio: LabelStudioUrl = "",
    mlflow: MlflowUrl = "",
    mlflow_user: MlflowUser = None,
    dagshub: Dagshub = None,
    launcher: Launcher = "",
    architecture: Architecture = "x86_64",
    set_: Parameters = None,
    stack: Stack = None,
) -> None:
    """Prepare a stack on AWS.

    Use it before the first deployment. It asks for what no option gives, and checks your sign-in, the region,
    quotas and names. For training on AWS it offers the network of your default VPC. It makes the project in
    Label Studio and stores the secrets in Secrets Manager. Then it writes samconfig-STACK.toml: the few
    choices that matter, with comments, and no secret. Nothing else is made. You can repeat it.
    """
    from octospoon.cli.extras import require

    require("local", "octospoon aws init")
    from octospoon.cli.deploy.parameters import split
    from octospoon.cli.deployment.session import localstack, session
    from octospoon.cli.operations.aws.parameter_file import file_name
    from octospoon.cli.operations.aws.setup import init as prepare

    name = stack or os.environ.get("OCTOSPOON_STACK") or _ask("Name of the stack", "--stack", "octospoon")
    answers = _with_dagshub(_answers(name, classes, label_studio, mlflow, mlflow_user), dagshub)
    chosen, others = launcher or _launcher(), split(set_ or [])
    answers = replace(answers, launcher=chosen, architecture=architecture, others=others)
    aws, path = session(localstack()), file_name(name)
    prepare(_with_demanded(answers, aws, localstack()), aws, localstack(), path, timed_progress())
    print_line(f"wrote {path}: read it, then run `octospoon aws deploy --file {path}`")


def _answers(name: str, classes: str, label_studio: str, mlflow: str, mlflow_user: str | None) -> Answers:
    """Return the answers, and ask for those that no option gives."""
    from octospoon.cli.deploy.class_names import class_names
    from octospoon.cli.operations.aws.setup import Answers

    names = class_names(classes or _ask("Classes, such as cat,dog", "--classes"))
    url = label_studio or _ask(f"Address of Label Studio, such as {_EXAMPLE}", "--label-studio")
    token = _secret("LABEL_STUDIO_TOKEN", "Access token of Label Studio")
    server = mlflow or _ask("Address of MLflow", "--mlflow")
    user = _ask("User in MLflow, empty for none", "--mlflow-user", "") if mlflow_user is None else mlflow_user
    password = _secret("MLFLOW_TRACKING_PASSWORD", "Password in MLflow") if user else ""
    return Answers(name, names, url, token, server, user, password)


def _with_dagshub(answers: Answers, repository: str | None) -> Answers:
    """Add the DagsHub repository. Where MLflow is DagsHub's, its address and its password are enough."""
    if repository is None and _DAGSHUB in answers.mlflow_url:
        return answers
    if repository is None:
        repository = _ask("DagsHub repository for snapshots, empty for none", "--dagshub", "")
    token = _secret("DAGSHUB_USER_TOKEN", "Token of DagsHub") if repository else ""
    return replace(answers, dagshub_repository=repository, dagshub_token=token)


def _launcher() -> str:
    """Ask for one of the template's launchers."""
    from octospoon.cli.deploy import sam_template
    from octospoon.cli.deploy.parameters import TEMPLATE

    declared = sam_template.read(TEMPLATE)["Parameters"]["Launcher"]
    allowed = ", ".join(declared["AllowedValues"])
    question = f"{declared['Description']}. One of {allowed}"
    while (answer := _ask(question, "--launcher", declared["Default"])) not in declared["AllowedValues"]:
        print_line(f"{answer} is not one of {allowed}")
    return answer


def _with_demanded(answers: Answers, aws: boto3.Session, endpoint_url: str | None) -> Answers:
    """Ask for the parameters that the template demands with these answers; offer the default network."""
    from octospoon.cli.deploy import sam_template
    from octospoon.cli.deploy.deployer import check_sign_in
    from octospoon.cli.deploy.parameters import TEMPLATE
    from octospoon.cli.operations.aws.setup import asked
    from octospoon.cli.operations.aws.training_account import default_network

    names = asked(answers)
    if not names:
        return answers
    check_sign_in(aws)
    offered = dict[str, str]()
    if _SUBNETS in names and (network := default_network(aws.client("ec2", endpoint_url=endpoint_url))):
        offered = {_SUBNETS: network.subnets, _GROUPS: network.groups}
    declared = sam_template.read(TEMPLATE)["Parameters"]
    given = {
        name: _ask(declared[name]["Description"], f"--set {name}=VALUE", offered.get(name) or None)
        for name in names
    }
    return replace(answers, others={**answers.others, **given})


def _ask(question: str, option: str, default: str | None = None) -> str:
    if not sys.stdin.isatty():
        raise BadRequest(f"give {option}: nobody can be asked here")
    return str(typer.prompt(question, default=default))


def _secret(variable: str, question: str) -> str:
    if value := os.environ.get(variable):
        return value
    if not sys.stdin.isatty():
        raise BadRequest(f"set {variable}: nobody can be asked here")
    return str(typer.prompt(question, hide_input=True))
