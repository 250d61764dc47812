"""The training image: its sources, its tag, its repository, and the two ways to build it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber
from unit.file_server import served

from octospoon.cli.deploy import sam_template
from octospoon.cli.operations.aws.image import build
from octospoon.cli.operations.aws.image.build import ImageStack, training_image
from octospoon.cli.operations.aws.image.builder import Builder
from octospoon.cli.operations.aws.image.codebuild import CodeBuild
from octospoon.cli.operations.aws.image.docker import Docker
from octospoon.cli.operations.aws.image.repository import (
    Repository,
    architectures,
    check_architecture,
    repository_name,
)
from octospoon.cli.operations.aws.image.source import ImageSource, stage
from octospoon.cli.operations.aws.parameter_file import Choices
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
DECLARED = sam_template.read(ROOT / build.TEMPLATE)
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DIGEST = f"sha256:{'a' * 64}"
PINNED = f"{REGISTRY}/octospoon/prod@{DIGEST}"
OCI = "application/vnd.oci.image.manifest.v1+json"


def client(service: Any) -> Any:
    return boto3.client(service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


# ---- sources and tag


def checkout(folder: Path) -> Path:
    """A small checkout, without git."""
    for name, text in {
        "infra/training/Dockerfile": "ARG BASE_IMAGE=python:3.12-slim\n",
        "infra/requirements/training.txt": "numpy==2\n",
        "infra/requirements/finetune.txt": "torch==2\n",
        "src/octospoon/__init__.py": "",
        "src/octospoon/data.json": "{}",
        "src/octospoon/__pycache__/x.pyc": "",
        "README.md": "not in the image",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def staged(here: Path, scratch: Path, **parameters: str) -> ImageSource:
    scratch.mkdir()
    return stage(scratch, parameters, here)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


EXPECTED = {
    "infra/training/Dockerfile",
    "infra/requirements/training.txt",
    "src/octospoon/__init__.py",
    "src/octospoon/data.json",
}


def test_only_what_the_dockerfile_reads_is_sent(tmp_path: Path) -> None:
    source = staged(checkout(tmp_path / "here"), tmp_path / "scratch")
    assert files(source.folder) == EXPECTED
    assert source.mirrored_base_image == "public.ecr.aws/docker/library/python:3.12-slim"


def test_git_decides_what_belongs_to_the_package(tmp_path: Path) -> None:
    here = checkout(tmp_path / "here")
    for command in (["init", "-q"], ["add", "src/octospoon/__init__.py", "src/octospoon/data.json"]):
        subprocess.run(["git", *command], cwd=here, check=True)
    (here / "src/octospoon/notes.txt").write_text("mine")
    assert files(staged(here, tmp_path / "scratch").folder) == EXPECTED


def test_the_dockerfile_copies_nothing_else(tmp_path: Path) -> None:
    tmp_path.joinpath("scratch").mkdir()
    for trainer, name in (("head", "training"), ("finetune", "finetune")):
        folder = tmp_path / trainer
        folder.mkdir()
        source = stage(folder, {"Trainer": trainer}, ROOT)
        assert source.requirements == name
        copied = [
            line.split()[-2].replace("${REQUIREMENTS}", name)
            for line in (ROOT / "infra/training/Dockerfile").read_text().splitlines()
            if line.startswith("COPY ") and "--from" not in line
        ]
        assert copied
        for path in copied:
            assert (folder / path).exists(), path
        assert not [path for path in files(folder) if path.endswith(".pyc")]


def test_the_tag_changes_with_everything_that_changes_the_image(tmp_path: Path) -> None:
    here = checkout(tmp_path / "here")
    first = staged(here, tmp_path / "1").tag
    (here / "README.md").write_text("other")
    assert staged(here, tmp_path / "2").tag == first, "the image does not have it"
    assert first.startswith("training-amd64-")
    tags = {first, staged(here, tmp_path / "3", TrainingArchitecture="ARM64").tag}
    tags.add(staged(here, tmp_path / "4", Trainer="finetune").tag)
    for number, name in enumerate(sorted(EXPECTED), start=5):
        (here / name).write_text((here / name).read_text() + "\n")
        tags.add(staged(here, tmp_path / str(number)).tag)
    assert len(tags) == 3 + len(EXPECTED)


def test_an_installed_package_cannot_build_the_image(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="run this in a checkout"):
        staged(tmp_path / "nothing", tmp_path / "scratch")


@pytest.mark.parametrize(
    ("stack", "name"), [("Prod", "octospoon/prod"), ("a--b-", "octospoon/a-b"), ("x1", "octospoon/x1")]
)
def test_every_stack_has_a_name_that_ecr_takes(stack: str, name: str) -> None:
    assert repository_name(stack) == name
    sam_template.check_value("RepositoryName", DECLARED["Parameters"]["RepositoryName"], name)


# ---- the repository


def details(**more: Any) -> dict[str, Any]:
    return {"imageDetails": [{"imageDigest": DIGEST, "imageTags": ["t"], **more}]}


REPOSITORIES = {"repositories": [{"repositoryUri": f"{REGISTRY}/octospoon/prod"}]}


def test_an_image_is_named_by_its_digest() -> None:
    ecr = client("ecr")
    with Stubber(ecr) as stub:
        asked = {"repositoryName": "octospoon/prod", "imageIds": [{"imageTag": "t"}]}
        stub.add_response("describe_images", details(), asked)
        stub.add_response("describe_repositories", REPOSITORIES, {"repositoryNames": ["octospoon/prod"]})
        assert Repository(ecr, "octospoon/prod").pinned("t") == PINNED


@pytest.mark.parametrize("error", ["RepositoryNotFoundException", "ImageNotFoundException"])
def test_an_absent_image_is_no_error(error: str) -> None:
    ecr = client("ecr")
    with Stubber(ecr) as stub:
        stub.add_client_error("describe_images", error)
        assert Repository(ecr, "octospoon/prod").pinned("t") is None


def test_images_of_other_repositories_belong_to_people() -> None:
    mine = Repository(None, "octospoon/prod")
    assert mine.owns(PINNED)
    assert mine.owns(f"{REGISTRY}/octospoon/prod:tag")
    for other in (
        "octospoon-training",
        f"{REGISTRY}/mine:1",
        f"{REGISTRY}/octospoon/prod2:1",
        "a/octospoon/prod:1",
    ):
        assert not mine.owns(other)


@pytest.fixture
def blob(tmp_path: Path) -> Iterator[str]:
    """The address of the configuration of an image for ARM."""
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "arm64", "os": "linux"}))
    with served(tmp_path) as address:
        yield f"{address}/config.json"


def stored(stub: Stubber, manifest: dict[str, Any], blob: str = "") -> None:
    stub.add_response("batch_get_image", {"images": [{"imageManifest": json.dumps(manifest)}]})
    if blob:
        asked = {"registryId": "123456789012", "repositoryName": "octospoon/prod", "layerDigest": "sha256:c"}
        stub.add_response("get_download_url_for_layer", {"downloadUrl": blob}, asked)


SINGLE = {"mediaType": OCI, "config": {"digest": "sha256:c"}}
INDEX = {
    "manifests": [
        {"platform": {"architecture": "amd64"}},
        {"platform": {"architecture": "arm64"}},
        {"platform": {"architecture": "unknown"}},
    ]
}


def test_the_processor_of_a_stored_image_is_read(blob: str) -> None:
    ecr = client("ecr")
    with Stubber(ecr) as stub:
        stored(stub, SINGLE, blob)
        assert architectures(ecr, PINNED) == {"ARM64"}
        stored(stub, INDEX)
        assert architectures(ecr, PINNED) == {"X86_64", "ARM64"}
        stored(stub, SINGLE, blob)
        with pytest.raises(NotConfigured, match=r"runs on ARM64, but TrainingArchitecture is X86_64"):
            check_architecture(ecr, PINNED, "X86_64")
        stored(stub, SINGLE, f"{blob}-missing")
        with pytest.raises(ServiceUnavailable, match="cannot be read"):
            architectures(ecr, PINNED)
        stub.add_response("batch_get_image", {"images": []})
        with pytest.raises(NotConfigured, match="there is no image"):
            architectures(ecr, PINNED)


def test_the_password_of_the_registry_is_decoded() -> None:
    ecr = client("ecr")
    token = base64.b64encode(b"AWS:pass:word").decode()
    with Stubber(ecr) as stub:
        answer = {"authorizationData": [{"authorizationToken": token}]}
        stub.add_response("get_authorization_token", answer, {})
        assert Repository(ecr, "x").sign_in() == ("AWS", "pass:word")


# ---- Docker. No engine runs where these tests do: a program of the same name records its arguments

FAKE = """#!/bin/sh
record=$(dirname "$0")/calls
printf '%s\\n' "$@" "attestations=$BUILDX_NO_DEFAULT_ATTESTATIONS" >> "$record"
case "$*" in *--password-stdin*) printf 'given=%s\\n' "$(cat)" >> "$record";; esac
echo ---- >> "$record"
echo "#7 [packages 2/3] RUN pip install"
[ "$1" != "$FAILS" ] || { echo "exec /bin/sh: exec format error" >&2; exit 1; }
[ "$1" != image ] || echo "${BUILT:-arm64}"
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "DOCKER"):
        monkeypatch.delenv(name, raising=False)
    return folder / "calls"


def calls(record: Path) -> list[list[str]]:
    """Return the arguments of each call, then what else it was given."""
    return [call.splitlines() for call in record.read_text().split("----\n")[:-1]]


SOURCE = ImageSource(Path("/scratch"), "linux/arm64", "training", "python:3")


def test_docker_builds_for_the_platform_of_the_tasks(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:secret@packages.example.org")
    told = list[str]()
    Docker("docker", told.append).build(SOURCE, "registry/name:tag")
    built, inspected = calls(engine)
    assert built == [
        *("build", "--platform", "linux/arm64", "--file", "/scratch/infra/training/Dockerfile"),
        *("--build-arg", "REQUIREMENTS=training", "--build-arg", "PIP_INDEX_URL"),
        *("--tag", "registry/name:tag", "/scratch", "attestations=1"),
    ]
    assert inspected[:-1] == ["image", "inspect", "--format", "{{.Architecture}}", "registry/name:tag"]
    assert told == ["#7 [packages 2/3] RUN pip install"] * 2


def test_an_image_for_another_processor_is_not_pushed(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILT", "amd64")
    with pytest.raises(NotConfigured, match=r"linux/amd64 instead of linux/arm64.*--builder codebuild"):
        Docker("docker", lambda _: None).build(SOURCE, "registry/name:tag")


def test_a_failed_docker_build_shows_its_last_lines(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "build")
    with pytest.raises(NotConfigured, match=r"(?s)--builder codebuild.*exec format error"):
        Docker("docker", lambda _: None).build(SOURCE, "registry/name:tag")


@pytest.mark.parametrize("fails", ["", "push"])
def test_the_registrys_password_is_no_argument_and_is_forgotten(
    engine: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setenv("FAILS", fails)
    told = list[str]()
    docker = Docker("docker", told.append)
    if fails:
        with pytest.raises(NotConfigured, match="cannot be pushed"):
            docker.push(f"{REGISTRY}/a:t", "AWS", "the-password")
    else:
        docker.push(f"{REGISTRY}/a:t", "AWS", "the-password")
    attestations = "attestations=1"
    assert calls(engine) == [
        ["login", "--username", "AWS", "--password-stdin", REGISTRY, attestations, "given=the-password"],
        ["push", f"{REGISTRY}/a:t", attestations],
        ["logout", REGISTRY, "attestations="],
    ]
    assert "the-password" not in "".join(told)


def test_an_engine_answers_or_not(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Docker("docker", print).answers()
    monkeypatch.setenv("FAILS", "info")
    assert not Docker("docker", print).answers()
    assert not Docker("no-such-program", print).answers()


# ---- CodeBuild


def state(number: str, status: str, *, phase: str = "BUILD", tag: str = SOURCE.tag, **more: Any) -> Any:
    variables = [{"name": "IMAGE_TAG", "value": tag}]
    return {
        "builds": [
            {
                "id": number,
                "currentPhase": phase,
                "buildStatus": status,
                "buildComplete": status != "IN_PROGRESS",
                "environment": {
                    "type": "ARM_CONTAINER",
                    "image": "i",
                    "computeType": "BUILD_GENERAL1_MEDIUM",
                    "environmentVariables": variables,
                },
                **more,
            }
        ]
    }


STARTED = {
    "projectName": "prod-image",
    "sourceTypeOverride": "S3",
    "sourceLocationOverride": "code/training/1.zip",
    "environmentVariablesOverride": [
        {"name": "IMAGE_TAG", "value": SOURCE.tag, "type": "PLAINTEXT"},
        {"name": "REQUIREMENTS", "value": "training", "type": "PLAINTEXT"},
        {"name": "BASE_IMAGE", "value": "public.ecr.aws/docker/library/python:3", "type": "PLAINTEXT"},
    ],
}


def builds(stub: Stubber, ids: list[str], *states: Any) -> None:
    answer = {"ids": ids} if ids else {}
    asked = {"projectName": "prod-image", "sortOrder": "DESCENDING"}
    stub.add_response("list_builds_for_project", answer, asked)
    for each in states:
        stub.add_response("batch_get_builds", each)


def test_a_build_is_started_and_followed_to_its_end() -> None:
    codebuild, told = client("codebuild"), list[str]()
    with Stubber(codebuild) as stub:
        builds(stub, ["p:old"], state("p:old", "FAILED"))
        stub.add_response("start_build", {"build": {"id": "p:new"}}, STARTED)
        for each in (
            state("p:new", "IN_PROGRESS", phase="PROVISIONING"),
            state("p:new", "IN_PROGRESS", phase="PRE_BUILD"),
            state("p:new", "IN_PROGRESS", phase="PRE_BUILD"),
            state("p:new", "SUCCEEDED", phase="COMPLETED"),
        ):
            stub.add_response("batch_get_builds", each, {"ids": ["p:new"]})
        project = CodeBuild(codebuild, None, "prod-image", told.append, poll=0)
        assert project.build(SOURCE, "code/training/1.zip") is None
        stub.assert_no_pending_responses()
    assert told == [
        "started the build p:new",
        "CodeBuild: provisioning",
        "CodeBuild: pre build",
        "CodeBuild: completed",
    ]


def test_a_build_that_runs_already_is_followed() -> None:
    codebuild = client("codebuild")
    with Stubber(codebuild) as stub:
        found = state("p:other", "IN_PROGRESS", tag="other")
        found["builds"] += state("p:mine", "IN_PROGRESS")["builds"]
        builds(stub, ["p:other", "p:mine"], found)
        stub.add_response("batch_get_builds", state("p:mine", "SUCCEEDED"), {"ids": ["p:mine"]})
        project = CodeBuild(codebuild, None, "prod-image", lambda _: None, poll=0)
        assert project.build(SOURCE, "code/training/1.zip") is None
        stub.assert_no_pending_responses()


def test_a_failed_codebuild_shows_the_end_of_its_log() -> None:
    codebuild, logs = client("codebuild"), client("logs")
    phases = [
        {"phaseType": "INSTALL", "contexts": []},
        {"phaseType": "BUILD", "contexts": [{"message": "Error while executing command: docker push."}]},
    ]
    failed = state("p:1", "FAILED", phases=phases, logs={"groupName": "/aws/g", "streamName": "s"})
    with Stubber(codebuild) as stub, Stubber(logs) as log:
        builds(stub, [])
        stub.add_response("start_build", {"build": {"id": "p:1"}}, STARTED)
        stub.add_response("batch_get_builds", failed)
        asked = {"logGroupName": "/aws/g", "logStreamName": "s", "limit": 20, "startFromHead": False}
        events = [{"message": "Step 3\n"}, {"message": "\n"}, {"message": "no space left\n"}]
        log.add_response("get_log_events", {"events": events}, asked)
        told = CodeBuild(codebuild, logs, "prod-image", lambda _: None, poll=0).build(
            SOURCE, "code/training/1.zip"
        )
    assert told == (
        "the build p:1 ended with FAILED. In BUILD: Error while executing command: docker push. The last "
        "lines of its log:\nStep 3\nno space left"
    )


def test_an_account_that_may_build_nothing_is_told() -> None:
    codebuild = client("codebuild")
    with Stubber(codebuild) as stub:
        builds(stub, [])
        stub.add_client_error("start_build", "AccountLimitExceededException")
        with pytest.raises(NotConfigured, match=r"Service Quotas.*--builder docker"):
            CodeBuild(codebuild, None, "prod-image", lambda _: None).build(SOURCE, "x")


# ---- all of it


class Account:
    """An account with one repository, in which builds put images."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        stack: dict[str, str] | None = None,
        region: str = "eu-west-1",
    ) -> None:
        self.tags: set[str] = set()
        self.stack, self.deployed = stack or {}, list[dict[str, str]]()
        self.repository = bool(stack)
        lists = boto3.Session(region_name=region)
        self.session: Any = SimpleNamespace(
            region_name=region,
            client=lambda *_, **__: None,
            get_partition_for_region=lists.get_partition_for_region,
            get_available_regions=lists.get_available_regions,
        )
        self.architecture = ""
        monkeypatch.setattr(build, "stack_outputs", lambda *_: self.stack)
        monkeypatch.setattr(build, "deploy", self.deploy)
        monkeypatch.setattr(build, "Clients", lambda *_: self)
        monkeypatch.setattr(build.ImageStack, "repository", self)
        monkeypatch.setattr(build, "check_architecture", lambda _, uri, wanted: self.check(wanted))
        monkeypatch.setattr(build, "CodeBuild", lambda *_: self)
        self.name = "octospoon/prod"
        self.fails: str | None = None
        self.built = list[str]()
        monkeypatch.setattr(build, "Docker", lambda *_: self)
        self.program, self.engine = "docker", False

    def check(self, wanted: str) -> None:
        self.architecture = wanted

    def deploy(self, *, parameters: dict[str, str], stack_name: str, **_: Any) -> dict[str, str]:
        assert stack_name == "prod-image"
        sam_template.check_values(DECLARED, parameters)
        self.deployed.append(parameters)
        self.repository = True
        self.stack = self.stack | {"RepositoryName": "octospoon/prod"}
        if parameters.get("MakeProject") == "yes":
            self.stack = self.stack | {"BuildProject": "prod-image"}
        return self.stack

    # the repository
    def exists(self) -> bool:
        return self.repository

    def owns(self, uri: str) -> bool:
        return "octospoon/prod" in uri

    def pinned(self, tag: str) -> str | None:
        return PINNED if tag in self.tags else None

    def uri(self) -> str:
        return f"{REGISTRY}/octospoon/prod"

    def sign_in(self) -> tuple[str, str]:
        return "AWS", "p"

    # the bucket with the sources
    def artefact_bucket(self) -> Any:
        return SimpleNamespace(name="code", put_artefact=lambda *_, prefix, **__: f"s3://code/{prefix}1.zip")

    # CodeBuild, and Docker
    def build(self, source: ImageSource, where: str) -> str | None:
        self.built.append(where)
        if self.fails is None and not self.engine:
            self.tags.add(source.tag)
        return self.fails

    def answers(self) -> bool:
        return self.engine

    def push(self, name: str, user: str, password: str) -> None:
        self.tags.add(name.rpartition(":")[2])
        if self.fails:
            raise NotConfigured(self.fails)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(checkout(tmp_path / "checkout"))


def made(account: Account, builder: Builder = Builder.AUTO, **parameters: str) -> str:
    where = ImageStack("prod", account.session, None, lambda _: None)
    return training_image(Choices("prod", "eu-west-1", parameters), where, builder)


def test_the_image_is_built_once_and_found_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    assert made(account, TrainingArchitecture="ARM64", KmsKeyArn="arn:aws:kms:k") == PINNED
    assert account.deployed == [
        {
            "RepositoryName": "octospoon/prod",
            "TrainingArchitecture": "ARM64",
            "SourceBucket": "code",
            "MakeProject": "yes",
            "MakeRepository": "yes",
            "KmsKeyArn": "arn:aws:kms:k",
        }
    ]
    assert account.built == ["code/training/1.zip"]
    assert account.architecture == "ARM64"
    assert made(account, TrainingArchitecture="ARM64", TrainingImageUri=PINNED) == PINNED
    assert len(account.built) == len(account.deployed) == 1


def test_a_local_engine_is_preferred_and_needs_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    account.engine = True
    assert made(account) == PINNED
    assert account.deployed[0]["MakeProject"] == "no"
    (name,) = account.built
    assert name.startswith(f"{REGISTRY}/octospoon/prod:training-amd64-")


def test_a_region_without_codebuild_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch, region="ca-west-1")
    with pytest.raises(NotConfigured, match="ca-west-1 has no CodeBuild"):
        made(account)
    assert account.deployed == []


def test_no_engine_and_docker_wanted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    with pytest.raises(NotConfigured, match="--builder codebuild"):
        made(account, Builder.DOCKER)
    assert account.deployed == []


def test_what_an_earlier_stack_left_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    account.repository = True
    made(account)
    assert account.deployed[0]["MakeRepository"] == "no"


def test_an_update_keeps_key_and_repository_of_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch, {"RepositoryName": "octospoon/prod", "BuildProject": "prod-image"})
    account.engine = True
    made(account, KmsKeyArn="arn:aws:kms:other")
    assert account.deployed[0].keys().isdisjoint({"MakeRepository", "KmsKeyArn", "MakeProject"})


@pytest.mark.parametrize("engine", [True, False])
def test_a_build_that_lost_a_race_has_its_image(monkeypatch: pytest.MonkeyPatch, engine: bool) -> None:
    account = Account(monkeypatch)
    account.engine, account.fails = engine, "the tag exists"
    build_it = account.build
    monkeypatch.setattr(
        account, "build", lambda source, where: (account.tags.add(source.tag), build_it(source, where))[1]
    )
    monkeypatch.setattr(account, "pinned", lambda tag, seen=[]: PINNED if seen or seen.append(1) else None)
    assert made(account) == PINNED


def test_a_failed_build_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    account.fails = "the build p:1 ended with FAILED"
    with pytest.raises(NotConfigured, match="p:1 ended with FAILED"):
        made(account)
    account.fails = None
    assert made(account) == PINNED
    assert len(account.built) == 2


@pytest.mark.parametrize(
    ("stack", "repository", "says"),
    [
        ({"ImagesBucket": "b"}, False, "choose another name for prod"),
        ({"RepositoryName": "octospoon/prod"}, False, "was deleted"),
    ],
)
def test_a_stack_that_is_not_as_expected_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, stack: dict[str, str], repository: bool, says: str
) -> None:
    account = Account(monkeypatch, stack)
    account.repository = repository
    with pytest.raises(NotConfigured, match=says):
        made(account)
    assert account.deployed == []


def test_an_image_of_ones_own_is_checked_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    own = f"{REGISTRY}/mine:1"
    assert made(account, TrainingImageUri=own, TrainingArchitecture="ARM64") == own
    assert account.architecture == "ARM64"
    account.architecture = ""
    assert made(account, TrainingImageUri="ghcr.example.org/mine:1") == "ghcr.example.org/mine:1"
    assert account.architecture == "", "it cannot be read"
    assert not account.built
    assert not account.deployed


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("engine", [True, False])
def test_it_goes_on_wherever_it_died(monkeypatch: pytest.MonkeyPatch, engine: bool) -> None:
    """Let the process die after each of its calls in turn, and repeat the command."""
    for point in range(1, 100):
        account, seen = Account(monkeypatch), list[str]()
        account.engine = engine

        def after(name: str, step: Any, point: int = point, seen: list[str] = seen) -> Any:
            def call(*given: Any, **named: Any) -> Any:
                result = step(*given, **named)
                seen.append(name)
                if len(seen) == point:
                    raise Died
                return result

            return call

        with monkeypatch.context() as mortal:
            for name in ("exists", "pinned", "uri", "sign_in", "build", "push", "answers"):
                mortal.setattr(account, name, after(name, getattr(account, name)))
            mortal.setattr(build, "deploy", after("deploy", account.deploy))
            try:
                made(account)
                break
            except Died:
                pass
        assert made(account) == PINNED, seen
        assert len(account.tags) == 1
        assert [each["MakeRepository"] for each in account.deployed if "MakeRepository" in each] == ["yes"]
    assert {"deploy", "build", *(["push", "sign_in"] if engine else [])} <= set(seen)
