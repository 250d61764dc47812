"""Every `octospoon` command of the documents, run as written, in a separate checkout."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
import pytest
from e2e import checkouts
from e2e.checkouts import CLASSES, Checkout, write_photos
from unit.test_docs import DOCUMENTS, code
from unit.training.exported_detectors import columns
from unit.training.networks import network

from octospoon.training.model.model_file import starter_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.stack(own=True), pytest.mark.timeout(600)]

UP = "up --classes cat,dog,owl --set BatchSize=20 --set TrainingThreshold=20"
RESNET = "model import resnet18.onnx --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --output features"
CAFFE = "model import caffe.onnx --channels bgr --range 255 --mean 123,117,104 --to wrapped.onnx"
MINE = "model import mine.onnx --classes dog,cat,owl --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"
DETECTOR = "model import yolo.onnx --classes cat,dog,owl --to detector.onnx"
AS_ON_AWS = "label-studio-connect --stack octospoon --new-key"
NEW_PROJECT = "label-studio-project --url https://labels.example.org --classes cat,dog,owl"
SEARCH = "logs score --minutes 600 --search '\"e251adf30f850d35\"'"
OWN_STRATEGY = "simulate --digits --strategies power_entropy,margin_diverse"
OWN_MODEL = "simulate DIR --model backbone.onnx"
# in the order in which a person runs them, with values for placeholders of the documents
STEPS = {
    UP: f"{UP} --backbone scattering",  # without a download
    "up": "up",
    "up --help": "up --help",
    "backbone list": "backbone list",
    "backbone list --json": "backbone list --json",
    "backbone pull NAME": "backbone pull scattering",
    "backbone pull NAME --json": "backbone pull scattering --json",
    "backbone pull NAME --to backbone.onnx": "backbone pull scattering --to backbone.onnx",
    "init-model": "init-model",
    "init-model --backbone NAME": "init-model --backbone scattering",
    "init-model --file": "init-model --file starter.onnx",
    RESNET: RESNET,
    CAFFE: CAFFE.replace("caffe.onnx", "resnet18.onnx --output features"),
    MINE: MINE,
    DETECTOR: DETECTOR,
    "drop ~/photos": "drop ~/photos",
    "drop ~/pictures": "drop ~/photos/cat",
    "drop ~/cat ~/dog": "drop ~/photos/cat ~/photos/dog --prefix again/",
    "up --instruction rules.txt": "up --instruction rules.txt --host 127.0.0.1",
    "open label-studio": "open label-studio",
    "open mlflow": "open mlflow",
    "invite": "invite",
    "backfill --dry-run": "backfill --dry-run",
    "backfill --yes": "backfill --yes",
    "labels import photos/ --dry-run": "labels import ~/photos --dry-run",
    "rank": "rank",
    "status": "status",
    "status --json": "status --json",
    "picture FILE…": "picture ~/photos/cat/0.png",
    "predict FILE…": "predict --add ~/photos/cat/0.png ~/photos/dog/1.png",
    "predict ~/photos/new.jpg": "predict ~/photos/cat/0.png",
    "doctor": "doctor",
    "trace photos/0001.jpg": "trace cat/0.png",
    "report": "report",
    "labels audit": "labels audit",
    "labels export labels.csv": "labels export labels.csv",
    "predictions export predictions.csv": "predictions export predictions.csv",
    "predictions export predictions.parquet": "predictions export predictions.parquet",
    "predictions export FILE.parquet": "predictions export all.parquet",
    "watch": "watch",
    "rescore": "rescore",
    "rescore --days 30": "rescore --days 30",
    "rescore --full": "rescore --full",
    "rescore --full --yes": "rescore --full --yes",
    "reconcile": "reconcile",
    "reconcile --full": "reconcile --full",
    "dlq list": "dlq list",
    "dlq redrive": "dlq redrive",
    "logs FUNCTION": "logs score",
    "logs predict": "logs predict",
    "logs reconcile": "logs reconcile",
    SEARCH: SEARCH.replace("e251adf30f850d35", "scored"),
    "logs rescore": "logs rescore",
    "logs watch": "logs watch",
    "report --days 7": "report --days 7",
    "classes list": "classes list",
    "classes add fox": "classes add fox",
    "classes rename dog hound": "classes rename dog hound",
    "classes merge cat,hound --into pet": "classes merge cat,hound --into pet",
    "classes retire fox": "classes retire owl",
    "classes undo": "classes undo",
    "model optimize": "model optimize",
    "model rollback": "model rollback",
    "model rollback --to 7 --new-backbone": "model rollback --to 1 --new-backbone",
    "simulate DIR": "simulate ~/photos --seeds 2 --labels 12 --batch 6",
    "simulate DIR --target 0.9": "simulate ~/photos --target 0.9 --seeds 2 --labels 12 --batch 6,3",
    "simulate DIR --backbones NAME,NAME": (
        "simulate ~/photos --backbones scattering --seeds 2 --labels 12 --batch 6"
    ),
    OWN_MODEL: f"{OWN_MODEL.replace('DIR', '~/photos')} --seeds 2 --labels 12 --batch 6",
    "simulate DIR --classes-file FILE": (
        "simulate ~/photos --classes-file classes.csv --seeds 2 --labels 12 --batch 6 --backbones scattering"
    ),
    "simulate --model": "simulate --model starter.onnx --digits --seeds 2 --labels 40",
    OWN_STRATEGY: OWN_STRATEGY.replace("entropy", "margin") + " --seeds 2 --labels 40",
    NEW_PROJECT: "label-studio-project --url {label_studio} --classes cat,dog,owl",
    "label-studio-project --instruction rules.txt": (
        "label-studio-project --instruction rules.txt --url {label_studio} --classes cat,dog,owl"
    ),
    # with --stack, Label Studio would ask AWS itself
    AS_ON_AWS: "label-studio-connect --url {label_studio} --project 1",
    "ui --export report/": "ui --export report",
    "backup monday.tar": "backup monday.tar",
    "down --forget": "down --forget --yes",
    "restore monday.tar": "restore monday.tar",
}
# names of commands, not calls; each of them is above
NAMES = {
    "demo",  # starts a stack of its own, and so is not run here
    "down",
    "backup",
    "backup FILE",
    "report --days",
    "model rollback --to VERSION",
    # there is no stack on AWS
    "backfill --stack octospoon",
    "backfill --stack octospoon --dry-run",
    "backup prod.tar --stack prod",
    "doctor --stack octospoon",
    "ui --stack prod",
    # they end when a person ends them
    "drop --watch",
    "drop --watch DIR",
    "drop --watch ~/camera",
    "open",
    "restore",
    "ui",
    "status --json | jq .images.labelled",  # a shell's
    "up --host 0.0.0.0",  # tests stay on this machine
    "backbone pull",
    # tests/integration/training/test_requested_backbone.py has the audit labels that a change needs
    "backbone use",
    "backbone use --revoke",
    "backbone use efficientnet-lite0 --dry-run",
    "backbone use FILE.onnx",
    "backbone use NAME --json",
    "backbone use efficientnet-lite0",
    "backbone use mine.onnx --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5",
    # tests/e2e/test_start_from_labels.py imports labels and draws some of them
    "labels audit --count 50",
    "labels audit --count N",
    "labels export",
    "labels import",
    # they need the extra `labels`, see tests/integration/labels/test_sdk.py
    "labels export tasks.json --label-config interface.xml",
    "labels import export.json --label-config interface.xml",
    "predictions export",
    "backfill",
    "drop",
    "label-studio-project --replace-interface",
    "reconcile --accept-removals",
    "up --classes a,b,new",
    "classes",
    "classes add",
    "classes list|add|rename|merge|retire|undo",
    "up --backbone NAME",
    "init-model --stack octospoon",
    "label-studio-connect",
    "label-studio-connect --new-key",
    "label-studio-connect --own-role",
    # tests/e2e/test_guided.py
    "aws",
    "aws init",
    'aws init --label-studio "$(value LabelStudioUrl)" --mlflow "$(value MlflowTrackingUri)" \\',
    "aws image",
    "aws image --file samconfig-STACK.toml",
    "aws deploy",
    "aws deploy --file samconfig-STACK.toml",
    # tests/e2e/test_multilabel.py has a stack of several classes
    "aws deploy --file samconfig-octospoon.toml",
    "aws init --classes cat,dog,owl --set TaskType=multilabel",
    "label-studio-project --task-type multilabel",
    # tests/e2e/test_detection.py has a stack of boxes, tests/unit/cli/test_model_import.py imports a detector
    DETECTOR.removesuffix(" --to detector.onnx"),
    "aws init --classes cat,dog,owl --set TaskType=detection --set Trainer=finetune",
    "label-studio-project --task-type detection",
    "aws status --stack STACK",
    "status --stack STACK",
    "aws destroy --stack STACK",
    "aws init|deploy|status|destroy",
    "drop DIR --stack STACK",
    "init-model --stack STACK",
    AS_ON_AWS.replace("octospoon ", "STACK "),
    "dlq",
    "doctor --stack STACK",
    "worker --stack STACK",
    "worker",
    "worker --stack NAME",
    "worker --stack octospoon",
    "label-studio-project",
    "model import",
    "model import FILE",
    "picture",
    "predict",
    "simulate",
    # it trains detectors, see tests/integration/training/box_simulation_cases.py
    "simulate DIR --boxes-file FILE",
    "trace",
    "trace KEY",
}


def documented() -> set[str]:
    """Return the text after `octospoon` in the documents' code."""
    commands = set()
    for line in "\n".join(map(code, DOCUMENTS)).splitlines():
        if match := re.match(r"\s*`?(?:\.venv/bin/)?octospoon ([a-z][^`]*)", line):
            commands.add(re.sub(r"\s+#.*", "", match[1]).strip())
    return commands


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout with photos in its home and two models beside it."""
    with checkouts.checkout(tmp_path) as made:
        for name in CLASSES:
            write_photos(made.home / "photos", name, range(24))
        (tmp_path / "starter.onnx").write_bytes(starter_model())
        features = network(last="pooled")
        features.graph.node[-1].output[0] = features.graph.output[0].name = "features"
        onnx.save(features, tmp_path / "resnet18.onnx")
        onnx.save(network(), tmp_path / "mine.onnx")
        onnx.save(columns(), tmp_path / "yolo.onnx")
        rows = [f"{name}/{i}.png,{name}" for name in CLASSES for i in range(24)]
        both = [f"cat/{i}.png,dog" for i in range(0, 24, 2)]
        (tmp_path / "classes.csv").write_text("\n".join(["image,class", *rows, *both]))
        (tmp_path / "rules.txt").write_text("Choose the class with the bright band.")
        yield made


def test_every_documented_command_does_what_it_is_there_for(checkout: Checkout) -> None:
    assert documented() == STEPS.keys() | NAMES
    for step, command in STEPS.items():
        print(step)
        shown = checkout.octospoon(command)
        print(shown)
        if step in ("up", "status"):
            assert "/runs?workflowType=machine_learning" in shown
            assert checkout.password in shown
            assert checkout.project.outputs["Classes"] == ",".join(CLASSES)
