"""What `octospoon up` was told, for the next time: a second `up` changes nothing that it is not told to."""

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
        classes: class names; none where they were never given.
        parameters: of the template, as given with `--set`.
    """

    classes: tuple[str, ...] = ()
    parameters: dict[str, str] = {}


def recall(layout: Layout) -> UpSettings:
    """Return what is remembered; of a stack without a file, the classes that it has.

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
            f"{layout.settings} cannot be read ({error}): mend it, or remove it and give --classes and --set"
        ) from error


def remember(layout: Layout, settings: UpSettings) -> None:
    """Write the settings, whole or not at all; only their owner may read them."""
    layout.settings.parent.mkdir(parents=True, exist_ok=True)
    draft = layout.settings.with_name(f"{layout.settings.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(settings)))
        draft.replace(layout.settings)
    finally:
        draft.unlink(missing_ok=True)
