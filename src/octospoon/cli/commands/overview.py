"""Every command, with its section and its line in `octospoon --help`.

The help is shown from this list, and a command is imported when it is called: importing all of them would
take longer than everything else that the help needs. A test holds each line to the command's own help.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from typer.core import TyperCommand
from typer.main import get_group

from octospoon.cli.commands.definition import Group

LOCAL = "Local stack"
DAILY = "Images and labels"
MODEL = "Model"
CARE = "Health and repair"
SETUP = "Setup"


@dataclass(frozen=True)
class Entry:
    """One command of the overview.

    Attributes:
        section: where the help shows it.
        line: what the help says about it, the first sentence of its own help.
        module: its module in this package; empty if the module has the command's name.
    """

    section: str
    line: str
    module: str = ""


ENTRIES = {
    "demo": Entry(LOCAL, "Run the whole loop on real images, then stop everything."),
    "up": Entry(LOCAL, "Start the local stack, or the parts of it that have ended."),
    "down": Entry(LOCAL, "Stop the local stack and keep its data."),
    "drop": Entry(DAILY, "Upload images into the images bucket."),
    "backfill": Entry(DAILY, "Queue the images that the bucket already holds, to be scored."),
    "predict": Entry(DAILY, "Ask the model in service about images."),
    "status": Entry(DAILY, "Show where everything stands, and what needs a person."),
    "report": Entry(DAILY, "Show how good the model in service is."),
    "ui": Entry(DAILY, "Show the pool, the batches and the images in the browser."),
    "open": Entry(DAILY, "Open Label Studio or MLflow in the browser."),
    "invite": Entry(DAILY, "Print the address at which another annotator signs up."),
    "rank": Entry(DAILY, "Choose a batch of images and send it to Label Studio now."),
    "classes": Entry(DAILY, "List or change the classes while everything runs."),
    "labels": Entry(DAILY, "Import labels that you have, and export all labels."),
    "predictions": Entry(DAILY, "Export the predictions of all images."),
    "picture": Entry(DAILY, "Show what a model sees of image files, or why it cannot."),
    "model": Entry(MODEL, "Optimise, import or roll back the model."),
    "backbone": Entry(MODEL, "List, download or change the backbones that embed images."),
    "rescore": Entry(MODEL, "Score the pool again with the model in service."),
    "simulate": Entry(
        MODEL, "Compare labelling strategies with random choice, on images whose labels are known."
    ),
    "worker": Entry(MODEL, "Run the training jobs of a stack on this machine."),
    "doctor": Entry(CARE, "Check every part of a deployment, and say what to do."),
    "trace": Entry(CARE, "Show the whole story of one image."),
    "logs": Entry(CARE, "Show what a function logged lately."),
    "dlq": Entry(CARE, "List the messages that failed for good, or give them back to their queues."),
    "reconcile": Entry(CARE, "Count the answers that a lost webhook left uncounted, and repair the rest."),
    "watch": Entry(CARE, "Measure the model in service and test yesterday's uploads for drift now."),
    "backup": Entry(CARE, "Write everything that a deployment holds into one file."),
    "restore": Entry(CARE, "Read a backup of a local stack into this checkout."),
    "aws": Entry(SETUP, "Set up, deploy, show or remove a stack on AWS."),
    "init-model": Entry(SETUP, "Give a new deployment its first model."),
    "label-studio-project": Entry(
        SETUP, "Create the project in Label Studio, and print its id.", "label_studio"
    ),
    "label-studio-connect": Entry(
        SETUP, "Connect a project in Label Studio to a deployed stack.", "label_studio"
    ),
}


class _Commands(Mapping[str, Any]):
    """The commands by name; each is imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer does not export the type
        entry = ENTRIES[name]
        module = import_module(f"octospoon.cli.commands.{entry.module or name.replace('-', '_')}")
        command: Any = get_group(module.app).commands[name]
        command.rich_help_panel = entry.section
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(ENTRIES)

    def __len__(self) -> int:
        return len(ENTRIES)


class Overview(Group):
    """The group of all commands: `octospoon` itself."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - as Typer has them
        super().__init__(**settings | {"commands": _Commands()})

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401 - Typer does not export the types
        """Return the names of the commands, in the order of the help."""
        return list(ENTRIES)

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - Typer does not export the types
        """Show the help, without importing the commands."""
        lines: dict[str, Any] = {
            name: TyperCommand(name, help=entry.line, rich_help_panel=entry.section)
            for name, entry in ENTRIES.items()
        }
        Group(commands=lines, params=self.params, help=self.help, epilog=self.epilog).format_help(
            ctx, formatter
        )
