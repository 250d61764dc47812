"""The file with the choices of one stack on AWS. It is a configuration file of the SAM command line too."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.adapters.files import draft_of
from octospoon.cli.deploy import sam_template
from octospoon.cli.deploy.parameters import TEMPLATE
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHOICES = {
    "Classes": "the classes that the stack begins with; later, `octospoon classes` changes them",
    "LabelStudioUrl": "one HTTPS address, which the functions and the browsers of annotators reach",
    "LabelStudioProject": "the project that `octospoon aws init` made",
    "LabelStudioTokenSecretArn": "the token is in Secrets Manager, and not in this file",
    "LabelStudioRole": "the role that Label Studio runs with on AWS; empty for an IAM user of the stack",
    "Launcher": "what runs training: queue is `octospoon worker`; the others need the Training… parameters",
    "TrainingImageUri": "empty: `octospoon aws deploy` and `aws image` build the image and set this",
    "TrainingArchitecture": "X86_64, or ARM64 for a fifth less; the image is built for it",
    "TrainingSubnets": "public subnets; or private ones with a NAT gateway and TrainingPublicIp=DISABLED",
    "TrainingSecurityGroups": "a group that lets everything out",
    "MlflowTrackingUri": "the tracking server that the functions and the trainer reach; training needs one",
    "MlflowUsername": "empty for a server without sign-in",
    "MlflowPasswordSecretArn": "the password is in Secrets Manager, and not in this file",
    "DagshubRepository": "OWNER/REPOSITORY for snapshots; empty for none, or for that of MlflowTrackingUri",
    "DagshubTokenSecretArn": "the token is in Secrets Manager, and not in this file",
    "Architecture": "x86_64, or arm64 for a fifth less; the build reads it from here",
    "PythonRuntime": "the build reads it from here",
    "ScoreMaximumConcurrency": "score takes at most so many of the account's invocations at once",
    "AlarmTopicArn": "an SNS topic that is told of alarms; empty for none",
}
"""The parameters that matter for a first deployment, in the order of the file, with a comment for each."""

_HEAD = """\
# The choices of the stack {stack}. Edit them, and deploy again:
#   octospoon aws deploy --file {name}
#   sam build --config-file {name} && sam deploy --config-file {name}
# docs/reference/template.md has all other parameters. Add them to the list in the same form.
version = 0.1

[default.global.parameters]
stack_name = {stack_name}
region = {region}

[default.build.parameters]
parallel = true

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND"
resolve_s3 = true
s3_prefix = {stack_name}
confirm_changeset = true
parameter_overrides = [
"""


@dataclass(frozen=True, slots=True)
class Choices:
    """What `octospoon aws init` writes and `octospoon aws deploy` reads.

    Attributes:
        stack: name of the stack.
        region: AWS region.
        parameters: of the template; the others have their defaults.
    """

    stack: str
    region: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def file_name(stack: str) -> Path:
    """Return the name of a stack's file in the current folder."""
    return Path(f"samconfig-{stack}.toml")


def chosen_file(path: Path | None, stack: str | None) -> Path:
    """Return the parameter file: the one that is named, that of a stack, or the only one in this folder.

    Raises:
        BadRequest: none is named, and there is none or more than one.
    """
    if path or stack:
        return path or file_name(stack or "")
    files = sorted(Path().glob("samconfig-*.toml"))
    if len(files) != 1:
        which = f"name one of {', '.join(map(str, files))}" if files else "`octospoon aws init` writes one"
        raise BadRequest(f"--file: {which}")
    return files[0]


def write(choices: Choices, path: Path) -> None:
    """Write the file, as one atomic change."""
    stack, region = json.dumps(choices.stack), json.dumps(choices.region)
    lines = [_HEAD.format(stack=choices.stack, name=path.name, stack_name=stack, region=region)]
    for name in sorted(choices.parameters, key=[*_CHOICES, *choices.parameters].index):
        if comment := _CHOICES.get(name):
            lines.append(f"  # {comment}\n")
        lines.append(_line(name, choices.parameters[name]))
    with draft_of(path) as draft:
        draft.write_text("".join([*lines, "]\n"]), encoding="utf-8")


def set_parameter(path: Path, name: str, value: str) -> None:
    """Change one parameter in the file of a stack, and leave every other line as it is.

    Args:
        path: of the file.
        name: of the parameter.
        value: the new value.

    Raises:
        NotConfigured: the file has no place for it; the message says which line to add.
    """
    if read(path).parameters.get(name) == value:
        return
    text, line = path.read_text(encoding="utf-8"), _line(name, value)
    changed, replaced = re.subn(rf'^ *"{name}=.*\n', lambda _: line, text, flags=re.MULTILINE)
    if not replaced:  # at the end of the list
        changed = re.sub(
            r"(^parameter_overrides = \[\n(?:.*\n)*?)(?=\])",
            lambda it: it[1] + line,
            text,
            flags=re.MULTILINE,
        )
    with draft_of(path) as draft:
        draft.write_text(changed, encoding="utf-8")
        if read(draft).parameters.get(name) != value:
            raise NotConfigured(f"{path}: add the line {line.strip()} to parameter_overrides")


def _line(name: str, value: str) -> str:
    # SAM splits a text at spaces unless the value is quoted
    quoted = json.dumps(value, ensure_ascii=False)
    return f"  {json.dumps(f'{name}={quoted}', ensure_ascii=False)},\n"


def read(path: Path) -> Choices:
    """Read the file of a stack.

    Raises:
        BadRequest: there is no such file.
        NotConfigured: it is not a file of `octospoon aws init`, or a parameter is wrong.
    """
    if not path.is_file():
        raise BadRequest(f"there is no file {path}: `octospoon aws init` writes it")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        sections = content["default"]
        parameters = sections["global"]["parameters"]
        choices = Choices(
            parameters["stack_name"],
            parameters["region"],
            dict(map(_pair, sections["deploy"]["parameters"]["parameter_overrides"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotConfigured(
            f"{path} cannot be read ({type(error).__name__}: {error}): `octospoon aws init` writes a new one"
        ) from error
    sam_template.check_values(sam_template.read(TEMPLATE), choices.parameters)
    return choices


def _pair(text: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever the file holds
    name, equals, value = str(text).partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    return name.strip(), json.loads(value) if value.startswith('"') else value
