"""Make the training image of a stack and store it in the account; nothing is done twice."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy.deployer import Clients, deploy, stack_outputs
from octospoon.cli.operations.aws.image.builder import Builder
from octospoon.cli.operations.aws.image.codebuild import CodeBuild
from octospoon.cli.operations.aws.image.docker import Docker
from octospoon.cli.operations.aws.image.repository import (
    IMAGE,
    Repository,
    check_architecture,
    image_stack,
    region_of,
    repository_name,
)
from octospoon.cli.operations.aws.image.source import stage
from octospoon.cli.operations.aws.training_account import lacking
from octospoon.cli.operations.prices import CODEBUILD_MINUTE
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import boto3

    from octospoon.cli.operations.aws.image.source import ImageSource
    from octospoon.cli.operations.aws.parameter_file import Choices

TEMPLATE = Path("infra/training/image.yaml")
_SOURCES = "training/"


@dataclass(frozen=True, slots=True)
class ImageStack:
    """Where the image of a stack is made and stored.

    Attributes:
        stack: name of the stack that trains.
        session: for AWS.
        endpoint_url: of LocalStack; None for AWS.
        progress: receives a line of text for each step.
    """

    stack: str
    session: boto3.Session
    endpoint_url: str | None
    progress: Callable[[str], None]

    @property
    def name(self) -> str:
        """The name of the stack with the repository and the project."""
        return image_stack(self.stack)

    @property
    def repository(self) -> Repository:
        """The repository of the image."""
        client = self.session.client("ecr", endpoint_url=self.endpoint_url)
        return Repository(client, repository_name(self.stack))

    def ensure(self, parameters: Mapping[str, str], *, project: bool) -> dict[str, str]:
        """Create or update the stack; return its outputs.

        A repository that an earlier stack has left is used again. Its key cannot change, so it is given once.

        Args:
            parameters: of the stack that trains.
            project: whether a CodeBuild project is needed; one that exists stays.

        Raises:
            NotConfigured: another stack has the name, or the repository was deleted by hand.
        """
        before, stored = self._existing()
        bucket = Clients(self.session, self.endpoint_url).artefact_bucket()
        given = {
            "RepositoryName": self.repository.name,
            "TrainingArchitecture": parameters.get("TrainingArchitecture", "X86_64"),
            "SourceBucket": bucket.name,
        }
        if project or "BuildProject" not in before:
            given["MakeProject"] = "yes" if project else "no"
        if not before:
            given["MakeRepository"] = "no" if stored else "yes"
            given["KmsKeyArn"] = parameters.get("KmsKeyArn", "")
        if "LogRetentionDays" in parameters:
            given["LogRetentionDays"] = parameters["LogRetentionDays"]
        return deploy(
            template=TEMPLATE,
            build_dir=Path(),
            endpoint_url=self.endpoint_url,
            stack_name=self.name,
            parameters=given,
            progress=self.progress,
        )

    def _existing(self) -> tuple[dict[str, str], bool]:
        """Return the outputs of the stack, none if it does not exist, and whether the repository exists."""
        before, stored = stack_outputs(self.endpoint_url, self.name), self.repository.exists()
        if before and "RepositoryName" not in before:
            raise NotConfigured(
                f"the stack {self.name} is no stack of a training image: choose another name for {self.stack}"
            )
        if before and not stored:
            raise NotConfigured(
                f"the repository {self.repository.name} was deleted, but the stack {self.name} has it: "
                "delete that stack too, and try again"
            )
        return before, stored


def training_image(choices: Choices, where: ImageStack, builder: Builder = Builder.AUTO) -> str:
    """Return the address of a training image for a stack, and build and push it if it is missing.

    An image that the parameter file names and that this function did not make is used as it is.

    Args:
        choices: of the parameter file.
        where: the image is stored.
        builder: what builds the image; `AUTO` takes a Docker engine that answers, and CodeBuild otherwise.

    Raises:
        NotConfigured: the build failed, or the image does not run on the tasks' processors.
        DeployFailed: CloudFormation refused the stack of the image.
        ServiceUnavailable: AWS did not answer; the same call goes on where this one stopped.
    """
    parameters = choices.parameters
    given, processor = parameters.get(IMAGE, ""), parameters.get("TrainingArchitecture", "X86_64")
    if given and not where.repository.owns(given):
        _check_own(given, where, processor)
        return given
    with tempfile.TemporaryDirectory(prefix="octospoon-image-") as scratch:
        folder = Path(scratch) / "training image"
        folder.mkdir()
        source = stage(folder, parameters)
        uri = where.repository.pinned(source.tag)
        if uri is None:
            _build(source, parameters, where, builder)
            uri = where.repository.pinned(source.tag)
    if uri is None:
        raise NotConfigured(f"the image {source.tag} was built, but {where.repository.name} has it not")
    check_architecture(where.session.client("ecr", endpoint_url=where.endpoint_url), uri, processor)
    where.progress(f"the training image is {uri}")
    return uri


def _check_own(uri: str, where: ImageStack, processor: str) -> None:
    """Check an image that a person built; one outside ECR cannot be checked."""
    region = region_of(uri)
    if region is None:
        where.progress(f"TrainingImageUri is not in ECR: make sure that {uri} runs on {processor}")
        return
    client = where.session.client("ecr", endpoint_url=where.endpoint_url, region_name=region)
    check_architecture(client, uri, processor)


def _build(source: ImageSource, parameters: Mapping[str, str], where: ImageStack, builder: Builder) -> None:
    if lacking(where.session, ["codebuild"]):  # CloudFormation refuses a template with an unknown type
        raise NotConfigured(
            f"the region {where.session.region_name} has no CodeBuild, which the image's stack has: build an "
            "image of your own as docs/how-to/training-image.md says, and give its address as "
            "TrainingImageUri"
        )
    docker = Docker(os.environ.get("DOCKER") or "docker", where.progress)
    local = builder is Builder.DOCKER or (builder is Builder.AUTO and docker.answers())
    if builder is Builder.DOCKER and not docker.answers():
        raise NotConfigured(
            f"no engine answers `{docker.program} info`: start one, or use --builder codebuild"
        )
    where.progress(f"making the stack {where.name}")
    outputs = where.ensure(parameters, project=not local)
    if local:
        where.progress(f"building the training image {source.tag} with {docker.program}")
        _build_here(source, where, docker)
    else:
        where.progress(
            f"building the training image {source.tag} with CodeBuild: some minutes, at "
            f"{CODEBUILD_MINUTE:.2f} USD each"
        )
        _build_there(source, where, outputs["BuildProject"])


def _build_here(source: ImageSource, where: ImageStack, docker: Docker) -> None:
    name = f"{where.repository.uri()}:{source.tag}"
    docker.build(source, name)
    where.progress("pushing the training image")
    try:
        docker.push(name, *where.repository.sign_in())
    except NotConfigured:
        if where.repository.pinned(source.tag) is None:  # another process may have pushed it first
            raise


def _build_there(source: ImageSource, where: ImageStack, project: str) -> None:
    with translated("uploading the sources of the training image"):
        bucket = Clients(where.session, where.endpoint_url).artefact_bucket()
        address = bucket.put_artefact(source.folder, compress=True, progress=where.progress, prefix=_SOURCES)
    codebuild, logs = (
        where.session.client(service, endpoint_url=where.endpoint_url) for service in ("codebuild", "logs")
    )
    failed = CodeBuild(codebuild, logs, project, where.progress).build(source, address.removeprefix("s3://"))
    if failed and where.repository.pinned(source.tag) is None:
        raise NotConfigured(failed)
