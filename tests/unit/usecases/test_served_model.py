"""Only a whole, verified model file serves, whatever the bucket holds. Files and runtime are real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from fakes.clock import FakeClock
from fakes.pool import FakeEntries, FakePool
from unit.training.stack import starter

from octospoon.adapters.s3.artifacts import S3Champions
from octospoon.domain.errors import BadModel, VersionTaken
from octospoon.domain.model_spec import CHAMPION_KEY, ChampionPointer, model_key
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.runtime.wiring import model_files
from octospoon.runtime.wiring.scoring import scorer_loader
from octospoon.training.model.model_file import assemble, extract_backbone, head_file, read_spec, sha256
from octospoon.usecases.champion import CurrentModel
from octospoon.usecases.promote_version import PromoteVersion


class Objects:
    """The artifacts bucket as a dictionary."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[bytes, str]] = {}
        self.writes = 0

    def read(self, key: str, unless_etag: str = "") -> tuple[bytes, str] | None:
        entry = self.stored.get(key)
        return None if entry is None or entry[1] == unless_etag else entry

    def write_new(self, key: str, body: bytes) -> bool:
        return self.swap(key, body, "") if key not in self.stored else False

    def swap(self, key: str, body: bytes, etag: str) -> bool:
        if key in self.stored and self.stored[key][1] != etag:
            return False
        self.writes += 1
        self.stored[key] = body, str(self.writes)
        return True


class Deployed:
    def __init__(self, folder, monkeypatch, task_type=CLASSIFICATION) -> None:
        monkeypatch.setattr(model_files, "model_folder", lambda: folder)
        self.objects, self.clock = Objects(), FakeClock()
        self.champions = S3Champions(self.objects)
        self.current = CurrentModel(self.champions, scorer_loader(self.champions, task_type), self.clock)
        self.serve = PromoteVersion(self.champions, FakeEntries(FakePool()))

    def point(self, pointer: ChampionPointer) -> None:
        self.champions.keep(pointer)
        stored = self.champions.pointer()
        assert self.champions.promote(pointer, stored[1] if stored else None)

    def put(self, version: int, model: bytes) -> ChampionPointer:
        sha, _ = self.champions.put_model(model, None)
        return ChampionPointer(version, sha, model_key(sha), read_spec(starter()).backbone)

    def next_image(self) -> int:
        """Return the version that scores the next image."""
        self.clock.time += 60
        return self.current.get().spec.version


@pytest.fixture(name="deployed")
def deploy(tmp_path, monkeypatch):
    made = Deployed(tmp_path, monkeypatch)
    made.point(made.put(1, changed(version="1")))
    assert made.next_image() == 1
    return made


def changed(**metadata: str) -> bytes:
    model = onnx.load_from_string(starter())
    for prop in model.metadata_props:
        prop.value = metadata.get(prop.key, prop.value)
    return model.SerializeToString(deterministic=True)


def test_rollback_and_forward_take_effect_on_the_next_image(deployed):
    deployed.point(deployed.put(2, changed(version="2")))
    assert deployed.next_image() == 2
    deployed.serve(1)
    assert deployed.next_image() == 1
    deployed.serve(2)
    assert deployed.next_image() == 2


WRONG = {
    "another schema": lambda: changed(schema="octospoon/9"),
    "no backbone": lambda: changed(backbone="unknown"),
    "another input size": lambda: changed(height="48"),
    "another embedding": lambda: changed(dim="64"),
    "cut off": lambda: starter()[:-1000],
    "empty": lambda: b"",
    "no model": lambda: b"\x89PNG and so on" * 100,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_never_served(deployed, wrong):
    deployed.point(deployed.put(2, WRONG[wrong]()))
    assert deployed.next_image() == 1


def test_a_model_of_another_task_type_is_never_served(tmp_path, monkeypatch):
    deployed = Deployed(tmp_path, monkeypatch, MULTILABEL)
    deployed.point(deployed.put(1, changed(version="1")))
    assert deployed.next_image() == 1, "without a head, a model serves every type"
    for version, activation in ((2, "softmax"), (3, "sigmoid")):
        spec = replace(read_spec(starter()), version=version, classes=("a", "b"), activation=activation)
        head = head_file(np.zeros((spec.dim, 2), np.float32), np.zeros(2, np.float32), spec)
        deployed.point(deployed.put(version, assemble(extract_backbone(starter()), head, spec)))
        assert deployed.next_image() == (1 if activation == "softmax" else 3)


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + bytes([b[-1] ^ 1])])
def test_file_with_another_hash_is_never_served_or_restored(deployed, spoil):
    model = changed(version="2")
    pointer = deployed.put(2, model)
    deployed.objects.stored[pointer.key] = spoil(model), "changed"
    deployed.point(pointer)
    assert deployed.next_image() == 1
    deployed.serve(1)
    with pytest.raises(BadModel, match="sha256"):
        deployed.serve(2)
    deployed.objects.stored[pointer.key] = model, "repaired"
    deployed.serve(2)
    assert deployed.next_image() == 2


def test_restarted_job_repeats_its_answer_and_refuses_another_model(deployed):
    first, again = (
        deployed.put(2, changed(version="2")),
        deployed.put(2, changed(version="2", resize="cover")),
    )
    for _ in range(2):
        deployed.champions.keep(first)
    with pytest.raises(VersionTaken, match="version 2 is another model already"):
        deployed.champions.keep(again)
    assert deployed.champions.version(2) == first
    assert deployed.champions.version(3) is None


def test_missing_file_or_broken_pointer_leaves_the_old_model_serving(deployed):
    model = changed(version="3")
    deployed.point(ChampionPointer(3, sha256(model), model_key(sha256(model)), "b" * 64))
    assert deployed.next_image() == 1
    deployed.objects.stored[CHAMPION_KEY] = b'{"version": 4', "half"
    assert deployed.next_image() == 1


def test_every_change_is_a_later_turn_and_predictions_say_theirs(deployed):
    deployed.point(deployed.put(2, changed(version="2")))
    deployed.serve(1)
    deployed.serve(2)
    deployed.serve(2)  # serves already
    pointer, _ = deployed.champions.pointer()
    assert (pointer.version, pointer.generation) == (2, 2)

    assert deployed.next_image() == 2
    scorer = deployed.current.get()
    (prediction,) = scorer.predict(np.zeros((1, scorer.spec.height, scorer.spec.width, 3), np.uint8))
    assert (prediction.model_version, prediction.generation) == (2, 2)


def test_generation_of_an_unreadable_pointer_is_later_than_any(deployed):
    deployed.objects.stored[CHAMPION_KEY] = b"{", "broken"
    deployed.serve(1)
    mended, _ = deployed.champions.pointer()

    assert mended.generation >= 1_700_000_000
    assert deployed.serve(1) == replace(mended, generation=0)
