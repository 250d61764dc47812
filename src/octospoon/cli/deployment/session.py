"""The AWS region and sign-in that a command uses.

The region is, in this order: ``--region``, AWS_REGION, AWS_DEFAULT_REGION, the region of the AWS profile, and
the region that a SAM configuration file of this folder has for the stack. The sign-in is that of
``--profile``, or what boto3 finds.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    import boto3

LOCAL_KEY = "test"
LOCAL_REGION = "us-east-1"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_CONFIGURATIONS = "samconfig*.toml"


@dataclass(slots=True)
class Choice:
    """What the options of the command line chose.

    Attributes:
        region: of ``--region``; None without it.
        profile: of ``--profile``; None without it.
        stack: the name of the stack; None if the command has none.
    """

    region: str | None = None
    profile: str | None = None
    stack: str | None = None


CHOICE = Choice()
"""The choice of the command that runs; each command sets it anew."""


def session(endpoint_url: str | None) -> boto3.Session:
    """Return a boto3 session: with the user's sign-in for AWS, with test credentials for LocalStack.

    Args:
        endpoint_url: of LocalStack; None for AWS.

    Returns:
        The session. Its region is None if nothing names one.
    """
    import boto3

    if endpoint_url is not None:
        return boto3.Session(
            aws_access_key_id=LOCAL_KEY, aws_secret_access_key=LOCAL_KEY, region_name=LOCAL_REGION
        )
    # boto3 itself reads only AWS_DEFAULT_REGION
    named = CHOICE.region or os.environ.get("AWS_REGION") or None
    signed_in = boto3.Session(profile_name=CHOICE.profile, region_name=named)
    if signed_in.region_name or not CHOICE.stack:
        return signed_in
    return boto3.Session(profile_name=CHOICE.profile, region_name=configured_region(CHOICE.stack))


def named_stack(stack: str | None) -> str:
    """Return the stack on AWS that a command is for: `stack`, or else the one that OCTOSPOON_STACK names.

    Raises:
        BadRequest: neither names a stack.
    """
    name = stack or os.environ.get("OCTOSPOON_STACK")
    if not name:
        raise BadRequest("name the stack: --stack NAME, or OCTOSPOON_STACK")
    return name


def localstack() -> str | None:
    """Return the LocalStack that stands for AWS in a rehearsal; None for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL") or None


def environment(endpoint_url: str | None) -> dict[str, str]:
    """Return the environment with which another program uses the same region and sign-in.

    Args:
        endpoint_url: of LocalStack; None for AWS.
    """
    if endpoint_url is not None:
        return os.environ | {
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_ACCESS_KEY_ID": LOCAL_KEY,
            "AWS_SECRET_ACCESS_KEY": LOCAL_KEY,
            "AWS_DEFAULT_REGION": LOCAL_REGION,
            "AWS_REGION": LOCAL_REGION,
        }
    region = session(None).region_name
    variables = {"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_PROFILE": CHOICE.profile}
    # keys in the environment would go before the profile
    others = {name: value for name, value in os.environ.items() if not (CHOICE.profile and name in _KEYS)}
    return others | {name: value for name, value in variables.items() if value}


def configured_region(stack: str, folder: Path = Path()) -> str | None:
    """Return the region of a stack in the SAM configuration files of a folder; None if no file names one.

    Args:
        stack: the name of the stack.
        folder: with the files, such as ``samconfig.toml``.
    """
    for path in sorted(folder.glob(_CONFIGURATIONS)):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # SAM itself says what is wrong with its file
            continue
        for environment in content.values():
            if isinstance(environment, dict) and _setting(environment, "stack_name") == stack:
                region = _setting(environment, "region")
                if region:
                    return region
    return None


def _setting(environment: dict[str, object], name: str) -> str | None:
    """Return a setting of the command `deploy`, or else of all commands."""
    for command in ("deploy", "global"):
        section = environment.get(command)
        parameters = section.get("parameters") if isinstance(section, dict) else None
        value = parameters.get(name) if isinstance(parameters, dict) else None
        if isinstance(value, str) and value:
            return value
    return None
