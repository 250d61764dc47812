"""Deploys template.yaml, the very same to AWS and to LocalStack, without the SAM command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.cloudformation import DeployFailed, Stack
from octospoon.cli.deploy.package import ArtefactBucket, code_by_path
from octospoon.cli.deployment import session
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import boto3

    from octospoon.cli.deploy.sam_template import Template

__all__ = ["DeployFailed", "check_classes", "deploy", "predict_url", "webhook_url"]

_STACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")  # it begins the buckets' names: small letters, not too many
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
    """Create or update a stack from a SAM template and built artefacts.

    Args:
        template: the SAM template.
        build_dir: holds one folder per function, named by its logical id.
        endpoint_url: of LocalStack; None for AWS.
        stack_name: of the stack.
        parameters: of the template; on an update, those not given keep their values.
        progress: told about every step.
        by_path: leave the code in folders of this machine, for a LocalStack that runs on it without a
            container: nothing is packed, uploaded and unpacked.

    Returns:
        The stack's outputs.

    Raises:
        NotConfigured: a parameter, an artefact, credentials or the region is missing or wrong.
        DeployFailed: CloudFormation refused, with the resource's reason.
        ServiceUnavailable: AWS or LocalStack did not answer.
    """
    source = sam_template.read(template)
    _check(source, build_dir, stack_name, parameters)
    aws = _Clients(session(endpoint_url), endpoint_url)
    try:
        with translated(f"deploying {stack_name}"):
            bucket = aws.artefact_bucket()
            bucket.ensure()
            code = {
                name: code_by_path(build_dir / name)
                if by_path
                # deflating takes longer than sending to the same machine
                else bucket.put_artefact(build_dir / name, compress=not aws.local, progress=progress)
                for name in sam_template.functions(source)
            }
            template_url = bucket.put_template(sam_template.with_code(source, code))
            stack = Stack(
                aws.client("cloudformation"), stack_name, progress, _LOCAL_POLL if aws.local else _AWS_POLL
            )
            return stack.deploy(template_url, parameters, source["Parameters"].keys())
    except ClientError as error:
        raise DeployFailed(f"AWS refused the deployment of {stack_name}: {error}") from error


def check_classes(endpoint_url: str | None, stack_name: str, classes: Sequence[str]) -> None:
    """Make sure that a stack, if there is one, keeps its classes: new ones come after them.

    Raises:
        NotConfigured: a class of the running project is missing, renamed or at another place.
    """
    aws = _Clients(session(endpoint_url), endpoint_url)
    with translated(f"reading the classes of {stack_name}"):
        outputs = Stack(aws.client("cloudformation"), stack_name, lambda _: None, _LOCAL_POLL).outputs()
    before = listed(outputs.get("Classes", ""))
    if tuple(classes[: len(before)]) != before:
        raise NotConfigured(
            f"the project has the classes {','.join(before)}, and labels of them: add new ones at the end of "
            f"this list. {','.join(classes)} would remove, rename or move one of them"
        )


def webhook_url(outputs: Mapping[str, str], endpoint_url: str | None) -> str:
    """Return the address that Label Studio calls; on LocalStack one whose host needs no DNS."""
    if endpoint_url is None:
        return outputs["WebhookUrl"]
    return f"{_local_api(endpoint_url, outputs['RestApiId'], outputs['RestApiStage'])}/webhook"


def predict_url(outputs: Mapping[str, str], endpoint_url: str | None) -> str:
    """Return the address that predictions are asked for below, which is also Label Studio's backend URL."""
    if endpoint_url is None:
        return outputs["PredictUrl"]
    return _local_api(endpoint_url, outputs["PredictApiId"], outputs["PredictApiStage"])


def _local_api(endpoint_url: str, api: str, stage: str) -> str:
    return f"{endpoint_url}/_aws/execute-api/{api}/{stage}"


class _Clients:
    def __init__(self, session: boto3.Session, endpoint_url: str | None) -> None:
        if session.region_name is None:
            raise NotConfigured("no AWS region is set: set AWS_REGION, or one in your AWS profile")
        if session.get_credentials() is None:
            raise NotConfigured(
                "no AWS credentials are found: sign in first, for example with `aws sso login`"
            )
        self._session = session
        self._endpoint_url = endpoint_url
        self.local = endpoint_url is not None

    def client(self, service: Any) -> Any:  # noqa: ANN401 - boto3 has a type per service
        config = Config(s3={"addressing_style": "path"}) if self.local else None
        return self._session.client(service, endpoint_url=self._endpoint_url, config=config)

    def artefact_bucket(self) -> ArtefactBucket:
        account = self.client("sts").get_caller_identity()["Account"]
        name = f"octospoon-code-{account}-{self._session.region_name}"
        return ArtefactBucket(self.client("s3"), name, account)


def _check(template: Template, build_dir: Path, stack_name: str, parameters: Mapping[str, str]) -> None:
    """Find before anything is uploaded what CloudFormation would say minutes later."""
    if not _STACK_NAME.fullmatch(stack_name):
        raise NotConfigured(
            f"{stack_name!r} is no name for the stack: small letters, digits and hyphens, at most 40"
        )
    sam_template.check_values(template, parameters)
    for name in sam_template.functions(template):
        if not (build_dir / name / "app.py").is_file():
            raise NotConfigured(f"{build_dir / name} holds no artefact: run `make build` first")
