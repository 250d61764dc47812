"""The settings of a local stack, saved for the next start, which changes only the settings that are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.files import PRIVATE, draft_of
from octospoon.cli.deploy.class_names import class_names
from octospoon.cli.deployment import local_project
from octospoon.cli.stack.ports import EVERYWHERE, HOST
from octospoon.domain.errors import BadRequest, NotConfigured
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.stack.layout import Layout


class UpSettings(msgspec.Struct, frozen=True):
    """Settings of the local stack.

    Attributes:
        classes: class names; empty if they were never given.
        parameters: of the template, as given with `--set`.
        backbone: name of the backbone that a new stack begins with; empty where none was given.
        host: the address at which Label Studio listens.
    """

    classes: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    backbone: str = ""
    host: str = HOST


@dataclass(frozen=True, slots=True)
class Changes:
    """The settings that a person gives now.

    Attributes:
        classes: class names; None if none were given.
        parameters: of the template.
        backbone: name of the backbone that a new stack begins with; empty where none was given.
        host: the address at which Label Studio listens; empty where none was given.
    """

    classes: tuple[str, ...] | None
    parameters: dict[str, str]
    backbone: str = ""
    host: str = ""


def changes(classes: str | None, parameters: Sequence[str], backbone: str = "", host: str = "") -> Changes:
    """Return the settings to change, checked before anything starts.

    Args:
        classes: class names, separated by commas; None if none were given.
        parameters: of the template, as NAME=VALUE.
        backbone: name of the backbone that a new stack begins with; empty where none was given.
        host: the address at which Label Studio listens; empty where none was given.

    Raises:
        BadRequest: class names, parameters or the address are not allowed, or there is no such backbone.
    """
    # both need extras, which `octospoon status` does without
    from octospoon.cli.deploy.parameters import given
    from octospoon.training.backbone.catalogue import backbone_named

    if backbone:
        backbone_named(backbone)
    if host:
        check_host(host)
    return Changes(None if classes is None else class_names(classes), given(parameters), backbone, host)


def check_host(host: str) -> None:
    """Raise BadRequest unless the address is that of this machine alone, or of all its networks."""
    if host not in (HOST, EVERYWHERE):
        raise BadRequest(
            f"--host {host} is not possible: use {EVERYWHERE} for every machine in your network, or {HOST} "
            "for this machine alone"
        )


def merged(wanted: Changes, before: UpSettings) -> UpSettings:
    """Return the settings of the last time with these changes.

    Raises:
        BadRequest: the local stack sets a saved parameter itself.
        NotConfigured: the template refuses a parameter, or two that do not go together.
    """
    from octospoon.cli.datasets import digits
    from octospoon.cli.deploy.parameters import check

    parameters = before.parameters | wanted.parameters
    check(parameters)
    classes = wanted.classes or before.classes or digits.CLASSES
    return UpSettings(
        classes,
        parameters,
        wanted.backbone or before.backbone,
        wanted.host or before.host,
    )


def recall(layout: Layout) -> UpSettings:
    """Return the saved settings; without a file, the classes of the running stack.

    Raises:
        NotConfigured: the file cannot be read.
    """
    try:
        return msgspec.json.decode(layout.settings.read_bytes(), type=UpSettings)
    except FileNotFoundError:
        project = local_project()
        return UpSettings(listed(project.outputs.get("Classes", "")) if project else ())
    except msgspec.MsgspecError as error:
        raise NotConfigured(
            f"{layout.settings} cannot be read ({error}): correct it, or remove it and give --classes and "
            "--set again"
        ) from error


def remember(layout: Layout, settings: UpSettings) -> None:
    """Write the settings as one atomic change; only their owner may read them."""
    layout.settings.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(layout.settings, PRIVATE) as draft:
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
