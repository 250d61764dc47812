"""`octospoon aws init`: make what a stack needs before it exists, and write its parameter file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.controls import control_named
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.parameters import TEMPLATE
from octospoon.cli.deploy.rules import demanded, with_defaults
from octospoon.cli.deploy.secrets import keep_secret
from octospoon.cli.operations.aws.account import check_account, check_parameters
from octospoon.cli.operations.aws.image.repository import IMAGE
from octospoon.cli.operations.aws.parameter_file import Choices, write
from octospoon.domain.errors import BadRequest
from octospoon.domain.secrets import checked_secret, header_secret
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import boto3

_PARAMETERS = {
    "label-studio-token": "LabelStudioTokenSecretArn",
    "mlflow-password": "MlflowPasswordSecretArn",
    "dagshub-token": "DagshubTokenSecretArn",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person answers.

    Attributes:
        stack: name of the stack.
        classes: class names.
        label_studio_url: address of Label Studio.
        label_studio_token: access token of Label Studio.
        mlflow_url: address of MLflow.
        mlflow_user: user name in MLflow; empty for a server without sign-in.
        mlflow_password: its password; empty for a server without sign-in.
        architecture: x86_64 or arm64.
        python: such as ``python3.12``.
        launcher: what runs training, a value of Launcher.
        dagshub_repository: OWNER/REPOSITORY for snapshots; empty for none, or for that of MLflow's address.
        dagshub_token: its token; empty without a repository.
        others: further parameters of the template.
    """

    stack: str
    classes: Sequence[str]
    label_studio_url: str
    label_studio_token: str = field(repr=False)
    mlflow_url: str
    mlflow_user: str = ""
    mlflow_password: str = field(default="", repr=False)
    architecture: str = "x86_64"
    python: str = "python3.12"
    launcher: str = "queue"
    dagshub_repository: str = ""
    dagshub_token: str = field(default="", repr=False)
    others: dict[str, str] = field(default_factory=dict)


def init(
    answers: Answers,
    session: boto3.Session,
    endpoint_url: str | None,
    path: Path,
    progress: Callable[[str], None],
) -> None:
    """Check the account, store the secrets, make the labelling project, and write the parameter file.

    It can be repeated: secrets and project are found again, and the file is written anew.

    Args:
        answers: of a person.
        session: for AWS, or for LocalStack.
        endpoint_url: of LocalStack; None for AWS.
        path: of the parameter file.
        progress: receives a line of text for each step.

    Raises:
        BadRequest: an address is not one that AWS reaches.
        NotConfigured: an answer, the sign-in or the region is wrong; nothing was made.
    """
    progress("checking the account and the answers")
    secrets = _secrets(answers)
    parameters = _checked(answers, session, endpoint_url, progress)
    progress("making the project in Label Studio")
    with closing(LabelStudioApi(parameters["LabelStudioUrl"], lambda: secrets["label-studio-token"])) as api:
        control = control_named(parameters.get("TaskType", TaskTypeName.CLASSIFICATION))
        project = LabelStudioSetup(api).project(answers.stack, answers.classes, control)
        parameters["LabelStudioProject"] = str(project)
    progress("storing the secrets in Secrets Manager")
    client = session.client("secretsmanager", endpoint_url=endpoint_url)
    for kind, value in secrets.items():
        key = parameters.get("KmsKeyArn", "")
        parameters[_PARAMETERS[kind]] = keep_secret(client, answers.stack, kind, value, key)
    write(Choices(answers.stack, session.region_name, parameters), path)


def _checked(
    answers: Answers, session: boto3.Session, endpoint_url: str | None, progress: Callable[[str], None]
) -> dict[str, str]:
    """Return the parameters that are known before anything is made, checked against template and account."""
    parameters, template = parameters_of(answers), sam_template.read(TEMPLATE)
    sam_template.check_values(template, parameters)
    check_parameters(template, parameters)
    if endpoint_url is None:
        _reachable(parameters["LabelStudioUrl"], "Label Studio")
        _reachable(parameters["MlflowTrackingUri"], "MLflow")
    everything = with_defaults(template, parameters)
    account = check_account(session, endpoint_url, answers.stack, everything)
    for note in account.notes:
        progress(note)
    # the file has a place for the image, and says what runs where
    training = (
        {IMAGE: "", "TrainingArchitecture": "X86_64"} if IMAGE in demanded(template, parameters) else {}
    )
    return {"ScoreMaximumConcurrency": str(account.score_concurrency)} | training | parameters


def _secrets(answers: Answers) -> dict[str, str]:
    """Return the secrets by their kind, checked."""
    secrets = {"label-studio-token": header_secret("LABEL_STUDIO_TOKEN", answers.label_studio_token)}
    if answers.mlflow_user:
        secrets["mlflow-password"] = checked_secret("MLFLOW_TRACKING_PASSWORD", answers.mlflow_password)
    if answers.dagshub_repository:
        secrets["dagshub-token"] = header_secret("DAGSHUB_USER_TOKEN", answers.dagshub_token)
    return secrets


def parameters_of(answers: Answers) -> dict[str, str]:
    """Return the parameters that the answers give, before anything is made or checked."""
    parameters = {
        "Classes": ",".join(answers.classes),
        "LabelStudioUrl": answers.label_studio_url.rstrip("/"),
        "LabelStudioRole": "",
        "Launcher": answers.launcher,
        "MlflowTrackingUri": answers.mlflow_url,
        "MlflowUsername": answers.mlflow_user,
        "Architecture": answers.architecture,
        "PythonRuntime": answers.python,
        "AlarmTopicArn": "",
    }
    if answers.dagshub_repository:
        parameters["DagshubRepository"] = answers.dagshub_repository
    return parameters | answers.others


def asked(answers: Answers) -> list[str]:
    """Return the parameters that the template demands with these answers, and that nobody gave yet.

    The address of the training image is none of them: the deployment makes the image.
    """
    parameters = parameters_of(answers)
    wanted = demanded(sam_template.read(TEMPLATE), parameters)
    return [name for name in wanted if name != IMAGE and not parameters.get(name)]


def _reachable(url: str, name: str) -> None:
    """Refuse an address that only this machine reaches."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    if host in ("localhost", "127.0.0.1", "0.0.0.0", "::1"):  # noqa: S104 - it is refused
        raise BadRequest(f"AWS cannot reach {name} at {url}: give an address that the functions reach too")
