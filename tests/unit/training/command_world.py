"""A training job with digits and a program as its trainer."""

from __future__ import annotations

import json
import shlex
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unit.training.stack import World, starter

from octospoon.cli.datasets import digits
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.training.command.champion import InService
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import CommandTrainer

if TYPE_CHECKING:
    from octospoon.training.context import TrainingPorts

ROOT = Path(__file__).parents[3]
EXAMPLE = f"{shlex.quote(sys.executable)} {ROOT / 'examples/trainers/scikit_learn.py'}"


def labelled(count: int = 60, audit: int = 12) -> World:
    made = World()
    for index in range(count):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < audit)
    made.serve(starter())
    return made


def labelled_with_several(classes: tuple[str, ...], count: int = 150, audit: int = 30) -> World:
    """Return a world of digits with the classes ``even``, ``loop`` and ``large``, or some of them."""
    made = World()
    made.ports = replace(made.ports, task_type=MULTILABEL, classes=classes)
    for index in range(count):
        digit = int(digits.labels()[index])
        shown = {"even": digit % 2 == 0, "large": digit >= 5, "loop": digit in (0, 6, 8, 9)}
        names = [name for name in shown if shown[name] and name in classes]
        made.label(index, json.dumps(names, separators=(",", ":")), audit=index < audit)
    made.serve(starter())
    return made


def with_program(made: World, text: str, seconds: float = 600.0, *, balanced: bool = False) -> TrainingPorts:
    """Return the ports of a job whose trainer is a program that gets half of the seconds, or more."""
    until = time.monotonic() + seconds
    kind = made.ports.task_type
    trainer = CommandTrainer(
        made.images,
        CommandLine.read(text),
        kind,
        until,
        InService(made.champions, made.training_records),
        partial(made.registry.follow, made.control.state().job_id),
        balanced=balanced,
    )
    return replace(made.ports, trainer=trainer)


def shell(script: str) -> str:
    return f"sh -c {shlex.quote(script)}"


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
