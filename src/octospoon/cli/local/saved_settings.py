"""The settings of `octospoon up`, saved for the next call: it changes only the settings that are given."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from octospoon.cli.deployment import local_project
from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from octospoon.cli.stack.layout import Layout


class UpSettings(msgspec.Struct, frozen=True):
    """Settings of the local stack.

    Attributes:
        classes: class names; empty if they were never given.
        parameters: of the template, as given with `--set`.
        backbone: name of the backbone that a new stack begins with; empty where none was given.
    """

    classes: tuple[str, ...] = ()
    parameters: dict[str, str] = {}
    backbone: str = ""


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
    draft = layout.settings.with_name(f"{layout.settings.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(settings)))
        draft.replace(layout.settings)
    finally:
        draft.unlink(missing_ok=True)
