"""Deploy template.yaml to AWS or to LocalStack, without the SAM command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.cloudformation import DeployFailed, Stack
from octospoon.cli.deploy.package import ArtefactBucket, code_by_path
from octospoon.cli.deployment.outputs import OutputNames
from octospoon.cli.deployment.session import session
from octospoon.cli.failures import NO_REGION
from octospoon.domain.errors import NotConfigured, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set
    from pathlib import Path

    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.cli.deploy.sam_template import Template

# the names of the functions begin with it: Lambda takes 64 characters, and -reconcile has ten of them
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,53}")
_AWS_POLL = 3.0
_LOCAL_POLL = 0.3


def deploy(
    *,
    template: Path,
    build_dir: Path,
    endpoint_url: str | None,
    stack_name: str,
    parameters: dict[str, str],
    progress: Callable[[str], None],
    by_path: bool = False,
) -> dict[str, str]:
    """Create or update a stack from a SAM template and built artefacts; return its outputs.

    Args:
        template: the SAM template.
        build_dir: holds one folder per function, named by its logical id.
        endpoint_url: of LocalStack; None for AWS.
        stack_name: of the stack.
        parameters: of the template; on an update, the others keep their values.
        progress: receives a line of text for each step.
        by_path: let the functions run from their folders on this machine. LocalStack allows this where it
            runs without a container, and nothing is zipped or uploaded.

    Raises:
        NotConfigured: a parameter, an artefact, credentials or the region is missing or wrong.
        DeployFailed: CloudFormation refused; the message names the resource and the reason.
        ServiceUnavailable: AWS or LocalStack did not answer.
    """
    source = sam_template.read(template)
    _check(source, build_dir, stack_name, parameters)
    aws = Clients(session(endpoint_url), endpoint_url)
    try:
        with translated(f"deploying {stack_name}"):
            stack = Stack(aws.client("cloudformation"), stack_name, progress, aws.poll)
            check_secrets(stack.secrets(), source["Resources"].keys(), parameters)
            check_task_type(aws.client("dynamodb"), outputs := stack.outputs(), parameters)
            template_url = _upload(source, build_dir, aws, progress, by_path=by_path)
            wanted = kept_names(stack_name, outputs) | parameters
            return stack.deploy(template_url, wanted, source["Parameters"].keys())
    except Refused as error:
        raise DeployFailed(f"AWS refused the deployment of {stack_name}: {error.__cause__}") from error


def _upload(
    source: Template, build_dir: Path, aws: Clients, progress: Callable[[str], None], *, by_path: bool
) -> str:
    """Upload the artefacts and the template that names them; return the template's address."""
    bucket = aws.artefact_bucket()
    bucket.ensure()
    code: dict[str, str | dict[str, str]] = {}
    for name in sam_template.functions(source):
        folder = build_dir / name
        if by_path:
            code[name] = code_by_path(folder)
        else:
            # on one machine, compressing takes longer than sending
            code[name] = bucket.put_artefact(folder, compress=not aws.local, progress=progress)
    return bucket.put_template(sam_template.with_code(source, code))


def stack_outputs(endpoint_url: str | None, stack_name: str) -> dict[str, str]:
    """Return the outputs of a stack; none if it does not exist yet.

    Args:
        endpoint_url: of LocalStack; None for AWS.
        stack_name: of the stack.
    """
    aws = Clients(session(endpoint_url), endpoint_url)
    with translated(f"reading the outputs of {stack_name}"):
        return Stack(aws.client("cloudformation"), stack_name, lambda _: None, _LOCAL_POLL).outputs()


def check_order(before: Sequence[str], classes: Sequence[str]) -> None:
    """Make sure that new class names come after those that have labels.

    Args:
        before: the class names of the stack; none for a new stack.
        classes: all class names, in the new order.

    Raises:
        NotConfigured: a class of the stack is missing, renamed or at another position.
    """
    if tuple(classes[: len(before)]) != tuple(before):
        raise NotConfigured(
            f"the project already has labels of the classes {','.join(before)}. `octospoon classes` "
            f"renames, merges and retires them. {','.join(classes)} must begin with this list"
        )


def check_task_type(
    dynamodb: DynamoDBClient, outputs: Mapping[str, str], parameters: Mapping[str, str]
) -> None:
    """Make sure that a stack with labels keeps their kind.

    Args:
        dynamodb: the client.
        outputs: of the stack as it is; none for a new stack.
        parameters: of the template.

    Raises:
        NotConfigured: the stack has labels of another task type.
    """
    if "ControlTable" in outputs:
        asked = parameters.get("TaskType", OutputNames(outputs).task_type)
        DynamoTaskTypeRecord(ControlTable(dynamodb, outputs["ControlTable"]), asked).check()


def check_secrets(own: Mapping[str, str], kept: Set[str], parameters: Mapping[str, str]) -> None:
    """Make sure that no parameter names a secret that the update deletes.

    Stacks of earlier releases made the secrets of other services themselves.

    Args:
        own: the logical id of each secret that the stack made, by its ARN.
        kept: the logical ids of the template.
        parameters: of the template.

    Raises:
        NotConfigured: a parameter names such a secret.
    """
    for name, value in parameters.items():
        if value in own and own[value] not in kept:
            raise NotConfigured(
                f"{name} names the secret that the stack itself made, which this update deletes: store its "
                "value as a secret of your own first, as docs/how-to/store-secrets.md says"
            )


def kept_names(stack_name: str, outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the parameter that keeps the buckets of a stack from before `BucketNames` existed."""
    # the end of the stack's id has no hyphen; the names of newer buckets end with the whole id
    older = re.fullmatch(rf"{re.escape(stack_name)}-artifacts-[0-9a-f]+", outputs.get("ArtifactsBucket", ""))
    return {"BucketNames": "name"} if older else {}


class Clients:
    """The boto3 clients of a deployment, with credentials and a region checked first."""

    def __init__(self, session: boto3.Session, endpoint_url: str | None) -> None:
        check_sign_in(session)
        self._session = session
        self._endpoint_url = endpoint_url
        self.local = endpoint_url is not None
        self.poll = _LOCAL_POLL if self.local else _AWS_POLL

    def client(self, service: Any) -> Any:  # noqa: ANN401 - boto3 has a type per service
        """Return a client of a service."""
        config = Config(s3={"addressing_style": "path"}) if self.local else None
        return self._session.client(service, endpoint_url=self._endpoint_url, config=config)

    def artefact_bucket(self) -> ArtefactBucket:
        """Return the bucket for code, templates and sources; it may not exist yet."""
        account = self.client("sts").get_caller_identity()["Account"]
        name = f"octospoon-code-{account}-{self._session.region_name}"
        return ArtefactBucket(self.client("s3"), name, account)


def check_sign_in(session: boto3.Session) -> None:
    """Check that a session can reach AWS; sends nothing.

    Raises:
        NotConfigured: it has no region or no credentials.
    """
    if session.region_name is None:
        raise NotConfigured(NO_REGION)
    if session.get_credentials() is None:
        raise NotConfigured("no AWS credentials were found: sign in first, for example with `aws sso login`")


def check_stack_name(name: str) -> None:
    """Check the name of a stack, with which the names of its functions begin.

    Raises:
        NotConfigured: it has other characters, or is too long.
    """
    if not _STACK_NAME.fullmatch(name):
        raise NotConfigured(
            f"the stack cannot be named {name!r}: use letters, digits and hyphens, at most 54, with a "
            "letter first"
        )


def _check(template: Template, build_dir: Path, stack_name: str, parameters: Mapping[str, str]) -> None:
    """Find mistakes before the upload: CloudFormation would report them minutes later."""
    functions = sam_template.functions(template)
    if functions:
        check_stack_name(stack_name)
    sam_template.check_values(template, parameters)
    for name in functions:
        if not (build_dir / name / "app.py").is_file():
            raise NotConfigured(f"{build_dir / name} has no built function: run `make build` first")
