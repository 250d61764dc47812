from __future__ import annotations

import os

import pytest

from octospoon.domain.errors import NotConfigured
from octospoon.runtime.settings import LabelStudioSettings, RankSettings, WebhookSettings, listed, load
from octospoon.runtime.wiring.model_files import remove_old_models

STORES = {
    f"OCTOSPOON_{name}": "x"
    for name in (
        "IMAGES_BUCKET",
        "ARTIFACTS_BUCKET",
        "POOL_TABLE",
        "ANNOTATIONS_TABLE",
        "CONTROL_TABLE",
        "RESCORE_QUEUE_URL",
    )
}
LABEL_STUDIO = {
    "OCTOSPOON_LABEL_STUDIO_URL": "http://ls",
    "OCTOSPOON_LABEL_STUDIO_PROJECT": "7",
    "OCTOSPOON_LABEL_STUDIO_TOKEN_SECRET": "name",
}


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_strings_become_what_they_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"OCTOSPOON_CLASSES": "cat,dog", "OCTOSPOON_AUDIT_SHARE": "0.3"}
    set_all(monkeypatch, STORES | LABEL_STUDIO | given)

    settings = load(RankSettings)

    assert (settings.audit_share, settings.batch_size) == (0.3, 50)
    assert load(LabelStudioSettings).label_studio_project == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("AUDIT_SHARE", "1.5"), ("BATCH_SIZE", "0"), ("BATCH_SIZE", "many"), ("POOL_TABLE", "")],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    set_all(monkeypatch, STORES | {f"OCTOSPOON_{name}": value})

    with pytest.raises(NotConfigured, match=name.lower()):
        load(RankSettings)


def test_a_missing_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCTOSPOON_WEBHOOK_SECRET", "name")

    with pytest.raises(NotConfigured, match="annotations_queue_url"):
        load(WebhookSettings)


def test_lists_are_split_at_commas() -> None:
    assert listed(" cat, dog,,owl ") == ("cat", "dog", "owl")


def test_old_model_files_are_removed_even_by_two_processes(tmp_path, monkeypatch):
    current, old, new = (tmp_path / name for name in ("kept.onnx", "old.onnx", "new.onnx"))
    for path in (current, old, new):
        path.write_bytes(b"model")
    for path in (current, old):
        os.utime(path, (0, 0))
    removed = tmp_path / "gone.onnx"
    listed = [*tmp_path.iterdir(), removed]
    monkeypatch.setattr("pathlib.Path.iterdir", lambda _: iter(listed))

    remove_old_models(current)

    assert (current.exists(), old.exists(), new.exists()) == (True, False, True)
