"""Each function's artefact alone: it imports, is small enough, and contains only expected files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from octospoon.adapters.imaging.file_kinds import FORMATS
from octospoon.training.model.model_file import starter_model

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
BUILD = ROOT / ".octospoon" / "build"
MAKEFILE = ROOT / "infra" / "build" / "Makefile"
FUNCTIONS = ["score", "rank", "webhook", "collect", "reconcile", "rescore", "watch", "predict"]
LAMBDA_LIMIT = 250_000_000
SCORE_LIMIT = 140_000_000
"""What a scoring function takes without onnxruntime's second copy of itself."""
NOWHERE = {"mlflow", "label_studio_sdk", "onnx", "sklearn", "matplotlib", "scipy", "pandas", "pytest"}
INFERENCE = {"onnxruntime", "PIL"}
SCORING = {"score", "predict"}
HEADS = {"onnxruntime"}
ALLOWED = {"score": INFERENCE, "predict": INFERENCE, "rank": HEADS, "rescore": HEADS, "watch": HEADS}

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # the discard port: every call to AWS fails at once
    "AWS_MAX_ATTEMPTS": "1",
    "OCTOSPOON_CLASSES": "cat,dog",
    "OCTOSPOON_LABEL_STUDIO_PROJECT": "1",
    "OCTOSPOON_LABEL_STUDIO_URL": "http://127.0.0.1:9",
} | {
    f"OCTOSPOON_{name}": "none"
    for name in (
        "IMAGES_BUCKET",
        "ARTIFACTS_BUCKET",
        "POOL_TABLE",
        "ANNOTATIONS_TABLE",
        "CONTROL_TABLE",
        "LABEL_STUDIO_TOKEN_SECRET",
        "WEBHOOK_SECRET",
        "PREDICT_SECRET",
        "ANNOTATIONS_QUEUE_URL",
        "RESCORE_QUEUE_URL",
        "TRAINING_QUEUE_URL",
        "UPLOADS_QUEUE_URL",
    )
}

# Wire the whole function; rank stops when it reads its secret, after all imports.
ALONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import app
try:
    app.use_case()
except Exception as error:
    if "127.0.0.1:9" not in str(error):
        raise
assert callable(app.handler)
import boto3
for service in sys.argv[2].split():
    boto3.client(service)
print(json.dumps(sorted(str(m.__file__) for m in sys.modules.values() if getattr(m, "__file__", None))))
"""


# Score an image of every format: no file that the artefact lacks is needed.
SCORES = """
import io, json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from octospoon.adapters.onnx.scorer import OnnxScorer
scorer = OnnxScorer(Path(sys.argv[2]))
for picture in sorted(Path(sys.argv[3]).iterdir()):
    (said,) = scorer.predict(scorer.preprocess(picture.read_bytes()).pixels[None])
    print(picture.name, len(said.embedding))
"""


# Lambda's runtime brings snapshot_restore_py; here the environment with Lambda's runtime does.
SNAPSHOT = """
import sys
sys.path.insert(0, sys.argv[1])
import app
from snapshot_restore_py import get_after_restore
(hook, arguments, named), = get_after_restore()
hook(*arguments, **named)
print(len([name for name in sys.modules if name in ("onnxruntime", "octospoon.adapters.onnx.scorer")]))
"""


def make_value(name):
    """Return the value of one of the Makefile's variables."""
    lines = f"include {MAKEFILE}\nprint-value: ; @echo $({name})\n"
    process = subprocess.run(
        ["make", "--no-print-directory", "-s", "-f", "-", "print-value"],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return process.stdout.strip()


@pytest.fixture(scope="session")
def build():
    subprocess.run(["make", "-s", "-f", str(MAKEFILE), "local"], check=True, cwd=ROOT)
    return {name: BUILD / f"{name.capitalize()}Function" for name in FUNCTIONS}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_artefact_runs_with_nothing_else_on_the_path(build, name):
    python = make_value("LOCAL_PYTHON")
    process = subprocess.run(
        [python, "-I", "-S", "-c", ALONE, str(build[name]), make_value("SERVICES")],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"PATH": os.environ["PATH"]},
        cwd="/",
    )
    assert process.returncode == 0, process.stderr
    ours = [path for path in json.loads(process.stdout.splitlines()[-1]) if str(ROOT) in path]
    assert ours
    assert all(path.startswith(str(build[name])) for path in ours)


WRITERS = {"HEIC": "HEIF"}
"""What Pillow and pillow-heif call a format, where it is not what we call it."""


@pytest.mark.parametrize("name", sorted(SCORING))
def test_a_scoring_artefact_alone_reads_every_format(build, tmp_path, name):
    folder, model = tmp_path / "pictures", tmp_path / "model.onnx"
    folder.mkdir()
    pillow_heif.register_heif_opener()
    for kind in FORMATS:
        options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
        Image.new("RGB", (64, 48), (200, 30, 60)).save(folder / kind, WRITERS.get(kind, kind), **options)
    model.write_bytes(starter_model())
    process = subprocess.run(
        [make_value("LOCAL_PYTHON"), "-I", "-S", "-c", SCORES, build[name], model, folder],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd="/",
    )
    assert process.returncode == 0, process.stderr
    assert [line.split()[0] for line in process.stdout.splitlines()] == sorted(FORMATS)


@pytest.mark.parametrize(("kind", "loaded"), [("snap-start", "2"), ("on-demand", "")])
def test_slow_work_precedes_the_snapshot_and_missing_models_are_logged(build, kind, loaded):
    process = subprocess.run(
        [make_value("LOCAL_PYTHON"), "-I", "-c", SNAPSHOT, str(build["score"])],
        capture_output=True,
        text=True,
        env=ENVIRONMENT | {"AWS_LAMBDA_INITIALIZATION_TYPE": kind},
        cwd="/",
    )
    assert process.stdout.strip().endswith(loaded)
    assert (process.returncode == 0) == bool(loaded)
    assert ("the snapshot is made without a model" in process.stdout + process.stderr) == bool(loaded)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_artefact_fits_into_a_function(build, name, capsys):
    files = [path for path in build[name].rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    with capsys.disabled():
        print(f"\n  {name}: {size / 1e6:.0f} MB unzipped, {len(files)} files")
    assert size < (SCORE_LIMIT if name in SCORING else LAMBDA_LIMIT)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_artefact_holds_what_it_needs_and_no_more(build, name):
    packages = {path.name for path in build[name].iterdir()}
    assert not packages & (NOWHERE | INFERENCE - ALLOWED.get(name, set()))
    assert ("numpy" in packages) == (name != "webhook")
    assert packages >= ALLOWED.get(name, set()) | {"app.py", "octospoon"}
    assert not {"cli", "training"} & {path.name for path in (build[name] / "octospoon").iterdir()}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_artefact_knows_nothing_of_the_machine_that_built_it(build, name):
    assert not list(build[name].rglob("*.pth"))
    assert not list(build[name].rglob("direct_url.json"))
    assert not (build[name] / "bin").exists()
    telling = [
        str(path)
        for path in build[name].rglob("*")
        if (path.suffix == ".pyc" or path.parent.suffix == ".dist-info")
        and path.is_file()
        and str(ROOT).encode() in path.read_bytes()
    ]
    assert not telling


def test_the_second_build_installs_nothing(build):
    process = subprocess.run(
        ["make", "-f", str(MAKEFILE), "local"], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert "dependencies" not in process.stdout


def test_artefacts_describe_every_service_that_the_functions_call():
    called = set()
    for layer in ("adapters", "runtime", "usecases"):
        for path in (ROOT / "src" / "octospoon" / layer).rglob("*.py"):
            called |= set(re.findall(r'client\(\s*"([a-z0-9]+)"', path.read_text()))
    assert called
    assert called <= set(make_value("SERVICES").split())
