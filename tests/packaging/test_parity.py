"""Trainer and scoring function, each in its own environment, get the same tensors from the same images."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from PIL import Image
from unit.corpus import CASES

from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.model import starter
from octospoon.training.model.model_file import assemble, backbone_spec

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("parity.py")
REAL = ROOT.parent / "shared" / "data" / "sign-digits" / "Dataset"
ENVIRONMENTS = {
    "trainer": (ROOT / ".octospoon/envs/mlflow/bin/python", ROOT / "src"),
    "scorer": (ROOT / ".octospoon/envs/lambda/bin/python", ROOT / ".octospoon/build/ScoreFunction"),
}


@pytest.fixture(autouse=True, scope="module")
def artefact() -> None:
    subprocess.run(["make", "-s", "-f", ROOT / "infra/build/Makefile", "local"], check=True, cwd=ROOT)


@pytest.fixture(name="model", params=["squash", "cover", "letterbox"])
def built(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    backbone = starter.build(64, 32)
    path = tmp_path / "model.onnx"
    path.write_bytes(assemble(backbone, None, backbone_spec(backbone, request.param)))
    return path


def seen_by(program: str, model: Path, folder: Path) -> dict[str, list[str]]:
    python, package = ENVIRONMENTS[program]
    ended = subprocess.run(
        [python, SCRIPT, program, model, folder],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(package), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def generated(folder: Path) -> None:
    """Create photographs in each format and size, and add the valid files of the corpus."""
    for size in ((1920, 1080), (640, 480), (64, 64)):
        coarse = np.random.default_rng(size[0]).integers(0, 256, (size[1] // 16, size[0] // 16, 3), np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        for kind in ("jpeg", "png", "webp"):
            image.save(folder / f"{size[0]}.{kind}")
    for case in CASES:
        if not case.reason and case.colours and "90-" not in case.name:
            (folder / case.name.replace("/", "-")).write_bytes(case.make())


def real(folder: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"no real pictures: {REAL} is not there")
    for path in sorted(REAL.glob("*/*"))[::50]:
        shutil.copyfile(path, folder / path.name)


@pytest.mark.parametrize("create", [generated, real], ids=["generated", "real"])
def test_the_tensors_of_trainer_and_scorer_are_bit_equal(create, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    create(folder)

    trained, scored = (seen_by(program, model, folder) for program in ENVIRONMENTS)

    assert len(trained) > 20
    assert {name: result[0] for name, result in trained.items()} == {
        name: result[0] for name, result in scored.items()
    }
    assert trained == scored  # as stored, the embeddings are equal too
    assert len({result[0] for result in trained.values()}) > 10


def test_preprocessing_is_in_the_graph(model: Path, tmp_path: Path) -> None:
    """An image of the model's size is its own tensor, and a bare session computes the row's embedding."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "own-size.png")

    for program in ENVIRONMENTS:
        tensor, embedding = seen_by(program, model, folder)["own-size.png"]
        assert tensor == hashlib.sha256(pixels.tobytes()).hexdigest()
        (bare,) = ort.InferenceSession(model).run([EMBEDDING], {INPUT: pixels[np.newaxis]})
        assert np.allclose(np.frombuffer(bytes.fromhex(embedding), "<f2"), bare[0], rtol=1e-2, atol=1e-2)
