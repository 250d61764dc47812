"""The guided path to AWS: its file, its checks, and what it removes."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from unit.file_server import served

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.deploy import sam_template
from octospoon.cli.doctor import code as doctor_code
from octospoon.cli.main import main
from octospoon.cli.operations.aws import account, removal, setup, stack_status, training_account
from octospoon.cli.operations.aws.built_for import built_for, check_artefacts
from octospoon.cli.operations.aws.parameter_file import (
    Choices,
    chosen_file,
    file_name,
    read,
    set_parameter,
    write,
)
from octospoon.cli.operations.aws.training_account import Network
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:octospoon/label-studio-token-AbCdEf"
PARAMETERS = {
    "Classes": 'black cat,"dog",Füchse',
    "LabelStudioUrl": "https://labels.example.org",
    "LabelStudioProject": "3",
    "LabelStudioTokenSecretArn": SECRET,
    "LabelStudioRole": "",
    "Architecture": "arm64",
    "PythonRuntime": "python3.13",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").symlink_to(ROOT / "template.yaml")
    return tmp_path


def test_the_file_gives_back_what_was_chosen(folder: Path) -> None:
    choices = Choices("prod", "eu-west-1", PARAMETERS)
    write(choices, folder / "samconfig-prod.toml")

    assert read(folder / "samconfig-prod.toml") == choices


def test_sam_reads_the_file_too(folder: Path) -> None:
    path = file_name("prod")
    write(Choices("prod", "eu-west-1", PARAMETERS), path)

    default = tomllib.loads(path.read_text())["default"]
    assert default["global"]["parameters"] == {"stack_name": "prod", "region": "eu-west-1"}
    assert "CAPABILITY_NAMED_IAM" in default["deploy"]["parameters"]["capabilities"]
    # SAM splits texts at spaces that no quotes enclose
    assert all(
        text.partition("=")[2].startswith('"')
        for text in default["deploy"]["parameters"]["parameter_overrides"]
    )
    explained = [line for line in path.read_text().splitlines() if line.startswith("  # ")]
    assert len(explained) == len(PARAMETERS)


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (None, BadRequest, "octospoon aws init"),
        ("version = 0.1", NotConfigured, "cannot be read"),
        ("[", NotConfigured, "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    folder: Path, content: str | None, kind: type[Exception], says: str
) -> None:
    if content is not None:
        (folder / "samconfig-x.toml").write_text(content)
    with pytest.raises(kind, match=says):
        read(Path("samconfig-x.toml"))


def test_a_wrong_value_in_the_file_is_named(folder: Path) -> None:
    write(Choices("prod", "eu-west-1", PARAMETERS | {"Architecture": "riscv"}), file_name("prod"))
    with pytest.raises(NotConfigured, match="Architecture is 'riscv'"):
        read(file_name("prod"))


def test_one_file_needs_no_name_and_two_do(folder: Path) -> None:
    with pytest.raises(BadRequest, match="octospoon aws init"):
        chosen_file(None, None)
    (folder / "samconfig-a.toml").touch()
    assert chosen_file(None, None) == Path("samconfig-a.toml")
    (folder / "samconfig-b.toml").touch()
    with pytest.raises(BadRequest, match=r"samconfig-a\.toml, samconfig-b\.toml"):
        chosen_file(None, None)
    assert chosen_file(None, "b") == Path("samconfig-b.toml")


@pytest.mark.parametrize(("limit", "score"), [(10, 4), (1, 2), (1000, 400), (10_000, 500)])
def test_a_new_accounts_limit_leaves_room_for_others(limit: int, score: int) -> None:
    found = account.Account("1", "eu-west-1", "arn:me", limit)
    assert found.score_concurrency == score
    assert bool(found.notes) == (limit < 1000)


def test_the_account_is_checked_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    nowhere = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")
    for name, says in (("no_name", "cannot be named 'no_name'"), ("prod", "--region")):
        with pytest.raises(NotConfigured, match=says):
            account.check_account(nowhere, None, name, {})


COMPILED = "numpy/_core/_multiarray_umath.cpython-312-x86_64-linux-gnu.so"


def test_compiled_modules_name_their_target() -> None:
    assert built_for([COMPILED, "octospoon/app.py", "PIL/_webp.cpython-313-aarch64-linux-gnu.so"]) == {
        ("python3.12", "x86_64"),
        ("python3.13", "arm64"),
    }


def test_functions_built_for_another_machine_are_not_deployed(tmp_path: Path) -> None:
    (tmp_path / "ScoreFunction").mkdir()
    (tmp_path / "ScoreFunction" / Path(COMPILED).name).touch()
    check_artefacts(tmp_path, {"PythonRuntime": "python3.12", "Architecture": "x86_64"})
    for runtime, architecture in (("python3.13", "x86_64"), ("python3.12", "arm64")):
        with pytest.raises(NotConfigured, match=f"ARCHITECTURE={architecture}"):
            check_artefacts(tmp_path, {"PythonRuntime": runtime, "Architecture": architecture})


@pytest.fixture
def code(tmp_path: Path) -> Iterator[str]:
    """The address of the code of a function."""
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr(COMPILED, bytes(100))
    with served(tmp_path) as address:
        yield address


def deployed(code: str, architecture: str, endpoint_url: str | None = None) -> Any:
    configuration = {"Runtime": "python3.12", "Architectures": [architecture]}
    answer = {"Configuration": configuration, "Code": {"Location": f"{code}/code.zip"}}
    return SimpleNamespace(
        outputs={"ScoreFunctionName": "score"},
        endpoint_url=endpoint_url,
        client=lambda _: SimpleNamespace(get_function=lambda **_: answer),
    )


def test_doctor_compares_code_and_machine(code: str) -> None:
    (check,) = doctor_code.checks(deployed(code, "x86_64"))
    assert check.made(deployed(code, "x86_64")).ok
    result = check.made(deployed(code, "arm64"))
    assert not result.ok
    assert result.message == "the code was built for python3.12 on x86_64, but runs with python3.12 on arm64"
    assert not check.made(deployed(f"{code}/missing", "arm64")).ok
    assert doctor_code.checks(deployed(code, "arm64", "http://localstack")) == []


class Formation:
    """CloudFormation, which removes a stack in two steps."""

    meta = SimpleNamespace(region_name="eu-west-1")

    def __init__(self, last: str = "DELETE_COMPLETE") -> None:
        self.states = ["UPDATE_COMPLETE", "DELETE_IN_PROGRESS", last]
        self.deleted: list[str] = []
        self.parameters = [{"ParameterKey": "Architecture", "ParameterValue": "x86_64"}]

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if StackName.endswith("-image"):
            raise ClientError({"Error": {"Message": f"{StackName} does not exist"}}, "DescribeStacks")
        state = self.states.pop(0) if self.deleted or len(self.states) == 3 else self.states[0]
        return {"Stacks": [{"StackId": "id", "StackStatus": state, "Parameters": self.parameters}]}

    def delete_stack(self, *, StackName: str) -> None:  # noqa: N803
        self.deleted.append(StackName)

    def list_access_keys(self, **_: str) -> Any:
        return {"AccessKeyMetadata": [{"AccessKeyId": "AKIA1"}]}

    def delete_access_key(self, *, UserName: str, AccessKeyId: str) -> None:  # noqa: N803
        assert not self.deleted
        self.deleted += [] if (UserName, AccessKeyId) == ("user", "AKIA1") else ["wrong key"]

    def describe_table(self, *, TableName: str) -> Any:  # noqa: N803
        return {"Table": {"TableName": TableName, "TableSizeBytes": 2_000_000_000}}


def standing(formation: Formation, **outputs: str) -> Any:
    names = ("ImagesBucket", "ArtifactsBucket", "PoolTable", "AnnotationsTable", "ControlTable")
    return SimpleNamespace(
        outputs={**{name: name.lower() for name in names}, "LabelStudioUser": "user", **outputs},
        client=lambda _: formation,
    )


def test_what_stays_is_listed_with_its_price() -> None:
    lines = "\n".join(removal.kept(standing(Formation()), "prod"))
    assert "the bucket imagesbucket: 0.023 USD" in lines
    assert "the table pooltable: about 0.50 USD a month for 2.00 GB" in lines
    assert "prod/label-studio-token" in lines
    assert "imagesbucket" not in "\n".join(removal.kept(standing(Formation(), ImagesSource="existing"), "x"))


class Images(Formation):
    """A stack that trains with an image in ECR, perhaps with the stack that built it."""

    def __init__(self, *, stands: bool = True, repository: bool = True) -> None:
        super().__init__()
        self.stands, self.repository = stands, repository
        self.parameters = [{"ParameterKey": "TrainingImageUri", "ParameterValue": "x"}]

    def describe_stacks(self, *, StackName: str) -> Any:  # noqa: N803
        if StackName == "prod-image" and self.stands:
            outputs = [{"OutputKey": "RepositoryName", "OutputValue": "octospoon/prod"}]
            return {"Stacks": [{"StackId": "id", "StackStatus": "CREATE_COMPLETE", "Outputs": outputs}]}
        return super().describe_stacks(StackName=StackName)

    def describe_repositories(self, *, repositoryNames: list[str]) -> Any:  # noqa: N803
        if not self.repository:
            raise ClientError({"Error": {"Code": "RepositoryNotFoundException"}}, "DescribeRepositories")
        return {"repositories": [{"repositoryUri": "uri"}]}

    def get_paginator(self, name: str) -> Any:
        images = {"imageDetails": [{"imageSizeInBytes": 1_000_000_000}] * 2}
        return SimpleNamespace(paginate=lambda **given: [images] if given["repositoryName"] else [])


@pytest.mark.parametrize("stands", [True, False])
def test_training_images_stay_and_have_a_price(stands: bool) -> None:
    (line,) = removal.kept_images(standing(Images(stands=stands)), "prod")
    assert "octospoon/prod with 2 training images: at most 0.20 USD a month for 2.00 GB" in line
    assert "aws ecr delete-repository" in line
    assert removal.kept_images(standing(Images(stands=stands, repository=False)), "prod") == []
    assert removal.image_stack_of(Images(stands=stands), "prod") == ("prod-image" if stands else None)


def test_without_a_training_image_ecr_is_not_asked() -> None:
    assert removal.kept_images(standing(Formation()), "prod") == []


@pytest.mark.parametrize(("options", "gone"), [(["--image"], ["prod-image", "prod"]), ([], ["prod"])])
def test_the_stack_of_the_image_goes_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], gone: list[str]
) -> None:
    removed = list[str]()
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: standing(Images()))
    monkeypatch.setattr(removal, "remove_stack", lambda client, stack, *_: removed.append(stack))
    assert main(["aws", "destroy", "--stack", "prod", "--yes", *options]) == 0
    assert removed == gone
    assert ("delete-stack --stack-name prod-image" in capsys.readouterr().out) == (not options)


def test_keys_go_before_the_user_and_the_stack_follows() -> None:
    formation, told = Formation(), list[str]()
    removal.destroy(standing(formation), "prod", told.append, poll=0)
    assert formation.deleted == ["prod"]
    assert told == [
        "removing the access key AKIA1 of user",
        "removing the stack prod",
        "removed the stack prod",
    ]


def test_a_removal_that_stops_halfway_can_be_repeated() -> None:
    with pytest.raises(ServiceUnavailable, match=r"DELETE_FAILED.*again"):
        removal.destroy(standing(Formation("DELETE_FAILED")), "prod", lambda _: None, poll=0)


def test_nothing_is_removed_without_a_yes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    formation = Formation()
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: standing(formation))
    assert main(["aws", "destroy", "--stack", "prod"]) == 1
    assert "add --yes" in capsys.readouterr().err
    assert formation.deleted == []


def test_status_names_what_is_not_deployed_yet(folder: Path) -> None:
    write(Choices("prod", "eu-west-1", {"Architecture": "arm64"}), file_name("prod"))
    found = stack_status.read_stack(standing(Formation()), "prod")
    assert found.changes == {"Architecture": ("x86_64", "arm64")}
    assert ("not deployed yet: Architecture", "arm64 (now x86_64)") in found.rows()


def test_questions_that_nobody_can_answer_name_their_option(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_TOKEN", raising=False)
    options = ["--stack", "prod", "--classes", "a,b", "--label-studio", "https://x", "--mlflow", "https://y"]
    for number, missing in ((0, "--stack"), (2, "--classes"), (4, "--label-studio")):
        assert main(["aws", "init", "--mlflow-user", "", *options[:number]]) == 1
        assert f"give {missing}" in capsys.readouterr().err
    assert main(["aws", "init", "--mlflow-user", "", *options]) == 1
    assert "set LABEL_STUDIO_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "t")
    assert main(["aws", "init", "--mlflow-user", "", *options]) == 1
    assert "give --dagshub" in capsys.readouterr().err
    assert main(["aws", "init", "--mlflow-user", "", "--dagshub", "", *options]) == 1
    assert "give --launcher" in capsys.readouterr().err
    assert list(folder.glob("samconfig*")) == []


NETWORK = {"TrainingSubnets": "subnet-1,subnet-2", "TrainingSecurityGroups": "sg-1"}


def test_launchers_and_networks_are_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given = list[str](), list[Any]()
    answers = iter(["slurm", "ecs", "subnet-9", "sg-9"])

    def prompt(question: str, default: str | None = None, **_: Any) -> str:
        asked.append(f"{question} [{default}]")
        return next(answers)

    offered = Network("subnet-1,subnet-2", "")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.setattr(training_account, "default_network", lambda _: offered)
    monkeypatch.setattr(setup, "init", lambda chosen, *_: given.append(chosen))
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "t")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    options = ["--stack", "prod", "--classes", "a,b", "--label-studio", "https://x", "--mlflow-user", ""]
    # DagsHub is MLflow: it is not asked for
    assert main(["aws", "init", *options, "--mlflow", "https://dagshub.com/me/birds.mlflow"]) == 0

    (chosen,) = given
    assert (chosen.launcher, chosen.others) == (
        "ecs",
        {"TrainingSubnets": "subnet-9", "TrainingSecurityGroups": "sg-9"},
    )
    launchers = ", ".join(
        sam_template.read(ROOT / "template.yaml")["Parameters"]["Launcher"]["AllowedValues"]
    )
    assert asked[0].endswith(f". One of {launchers} [queue]")
    assert asked[2].endswith("[subnet-1,subnet-2]")
    assert asked[3].endswith("[None]")


class Amazon:
    """The services that `octospoon aws init` asks."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def get_caller_identity(self) -> Any:
        return {"Account": "123456789012", "Arn": "arn:me"}

    def get_account_settings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": 10}}

    def create_secret(self, *, Name: str, SecretString: str, Description: str) -> Any:  # noqa: N803
        assert Description
        self.secrets[Name] = SecretString
        return {"ARN": f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{Name}-AbCdEf"}


def prepare(amazon: Amazon, path: Path, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> list[str]:
    lists = boto3.Session(region_name="eu-west-1")
    session: Any = SimpleNamespace(
        region_name="eu-west-1",
        get_credentials=lambda: "mine",
        client=lambda *_, **__: amazon,
        get_partition_for_region=lists.get_partition_for_region,
        get_available_regions=lists.get_available_regions,
    )
    monkeypatch.setattr(LabelStudioSetup, "project", lambda *_, **__: 7)
    told = list[str]()
    given = setup.Answers(
        **{
            "stack": "prod",
            "classes": ("cat", "dog"),
            "label_studio_url": "https://labels.example.org/",
            "label_studio_token": "the-token",
            "mlflow_url": "https://mlflow.example.org",
            "mlflow_user": "me",
            "mlflow_password": "the-password",
            **answers,
        }
    )
    setup.init(given, session, None, path, told.append)
    return told


def test_init_writes_every_answer_and_no_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    amazon, path = Amazon(), file_name("prod")
    told = prepare(amazon, path, monkeypatch, others={"KmsKeyArn": ""})

    choices = read(path)
    assert choices.parameters["LabelStudioProject"] == "7"
    assert choices.parameters["ScoreMaximumConcurrency"] == "4"
    assert choices.parameters["LabelStudioUrl"] == "https://labels.example.org"
    assert amazon.secrets == {"prod/label-studio-token": "the-token", "prod/mlflow-password": "the-password"}
    assert not [secret for secret in ("the-token", "the-password") if secret in path.read_text()]
    template = sam_template.read(ROOT / "template.yaml")["Parameters"]
    assert {name for name, each in template.items() if "Default" not in each} <= choices.parameters.keys()
    assert any("10 invocations" in line for line in told)


def test_dagshubs_secret_and_places_for_training_are_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazon, path = Amazon(), file_name("prod")
    monkeypatch.setattr(account, "check_training", lambda client, parameters: ["a note"])
    answers = {"launcher": "ecs", "dagshub_repository": "me/birds", "dagshub_token": "the-dagshub-token"}
    told = prepare(amazon, path, monkeypatch, others=NETWORK, **answers)

    parameters = read(path).parameters
    assert amazon.secrets["prod/dagshub-token"] == "the-dagshub-token"
    assert parameters["DagshubTokenSecretArn"].endswith("secret:prod/dagshub-token-AbCdEf")
    assert parameters["DagshubRepository"] == "me/birds"
    assert parameters["TrainingImageUri"] == "", "the deployment makes it"
    assert NETWORK.items() <= parameters.items()
    assert "the-dagshub-token" not in path.read_text()
    assert "a note" in told


def test_connections_to_label_studio_are_closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = list[str]()
    monkeypatch.setattr(LabelStudioApi, "close", lambda self: closed.append(self.url))
    prepare(Amazon(), file_name("prod"), monkeypatch)
    assert closed == ["https://labels.example.org"]


def test_one_parameter_changes_and_other_lines_stay(folder: Path) -> None:
    path = file_name("prod")
    write(Choices("prod", "eu-west-1", PARAMETERS | {"TrainingImageUri": ""}), path)
    before = path.read_text().replace("  # the build", "  # my own remark: the build")
    path.write_text(before)
    for uri in ("1.dkr.ecr/a@sha256:1", "2.dkr.ecr/b@sha256:2"):
        set_parameter(path, "TrainingImageUri", uri)
        assert read(path).parameters["TrainingImageUri"] == uri
        assert path.read_text() == before.replace(
            r'"TrainingImageUri=\"\""', rf'"TrainingImageUri=\"{uri}\""'
        )


def test_a_missing_parameter_is_added_to_the_list(folder: Path) -> None:
    path = file_name("prod")
    write(Choices("prod", "eu-west-1", PARAMETERS), path)
    set_parameter(path, "TrainingImageUri", "x:1")
    assert read(path).parameters == PARAMETERS | {"TrainingImageUri": "x:1"}


def test_a_list_of_another_form_is_left_alone(folder: Path) -> None:
    path = file_name("prod")
    write(Choices("prod", "eu-west-1", {}), path)
    text = path.read_text().replace(
        "parameter_overrides = [\n]", 'parameter_overrides = ["Architecture=arm64"]'
    )
    path.write_text(text)
    with pytest.raises(NotConfigured, match=r"add the line \"TrainingImageUri="):
        set_parameter(path, "TrainingImageUri", "x:1")
    assert path.read_text() == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"stack": "no_name"},
        {"label_studio_token": "two\nlines"},
        {"mlflow_password": "a\x00b"},
        {"architecture": "riscv"},
        {"mlflow_url": "http://127.0.0.1:5000"},
        {"label_studio_url": "http://localhost:8080"},
        {"others": {"Clases": "a,b"}},
        {"launcher": "slurm"},
        {"launcher": "ecs"},  # without a network
        {"launcher": "ecs", "others": NETWORK | {"TrainingMemory": "1024"}},
        {"dagshub_repository": "me/birds", "dagshub_token": ""},
        {"dagshub_repository": "birds", "dagshub_token": "t"},
    ],
    ids=str,
)
def test_nothing_is_made_if_an_answer_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    amazon = Amazon()
    with pytest.raises((NotConfigured, BadRequest)):
        prepare(amazon, file_name("prod"), monkeypatch, **wrong)
    assert amazon.secrets == {}
    assert list(folder.glob("samconfig*")) == []


def test_the_guides_example_is_a_file_that_init_writes(folder: Path) -> None:
    guide = (ROOT / "docs/how-to/deploy-to-aws.md").read_text(encoding="utf-8")
    example = guide.partition("```toml\n")[2].partition("```")[0]
    path = file_name("octospoon")
    path.write_text(example)

    choices = read(path)
    write(choices, path)

    assert path.read_text() == example
    template = sam_template.read(ROOT / "template.yaml")["Parameters"]
    assert {name for name, each in template.items() if "Default" not in each} <= choices.parameters.keys()
