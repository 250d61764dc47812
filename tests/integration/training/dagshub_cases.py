"""DagsHub's client with a stub server on loopback. test_registry.py runs this in the trainer's env."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from integration.training.dagshub_stub import FIRST, TOKEN, Dagshub
from unit.training.stack import JOB, World, starter

from octospoon.adapters.dagshub.datasets import DagshubDatasets, Repository
from octospoon.cli.datasets import digits
from octospoon.domain.errors import NotConfigured, PermanentError, ServiceUnavailable, Unauthorized
from octospoon.training.job.run import Outcome, run

MANIFEST = b'{"key": "a.png", "label": "x"}\n'
RECORDED = Path(__file__).with_name("dagshub_recorded.jsonl")


@pytest.fixture(name="hub")
def server():
    hub = Dagshub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hub
    hub.over.set()
    hub.shutdown()
    thread.join()
    hub.server_close()


def archive(hub: Dagshub, *, token: str = TOKEN, name: str = "me/al", seconds: float = 60) -> DagshubDatasets:
    return DagshubDatasets(Repository(hub.url, name, token), seconds)


def test_a_manifest_becomes_a_commit_by_the_recorded_requests(hub):
    commit = archive(hub).commit("run2", MANIFEST)

    assert commit == hub.tip != FIRST
    assert hub.files == {"datasets/run2/manifest.jsonl": MANIFEST}
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    (upload,) = hub.uploads()
    assert upload["form"].pop("commit_summary") == "octospoon: datasets/run2"
    recorded[-1]["form"].pop("commit_summary")
    assert [request for request in hub.requests if request not in recorded] == []
    assert [request for request in recorded if request not in hub.requests] == []


def test_what_was_committed_already_is_not_lost_and_not_doubled(hub):
    first = archive(hub).commit("run2", MANIFEST)

    assert archive(hub).commit("run2", MANIFEST) == first
    assert archive(hub).commit("run3", MANIFEST) != first
    assert set(hub.files) == {"datasets/run2/manifest.jsonl", "datasets/run3/manifest.jsonl"}


def test_an_upload_whose_answer_is_lost_is_found_again(hub):
    hub.lost = 1

    assert archive(hub).commit("run2", MANIFEST) == hub.tip
    assert hub.files == {"datasets/run2/manifest.jsonl": MANIFEST}


def test_a_wrong_token_is_named_and_never_told(hub, caplog):
    with pytest.raises(Unauthorized, match="DAGSHUB_USER_TOKEN") as raised:
        archive(hub, token="secret-token").commit("run2", MANIFEST)

    assert "secret-token" not in str(raised.value) + caplog.text
    assert not hub.files
    assert not [request for request in hub.requests if "oauth" in request["path"]]


def test_a_missing_repository_is_not_made(hub):
    with pytest.raises(NotConfigured, match="no repository me/other"):
        archive(hub, name="me/other").commit("run2", MANIFEST)

    assert {request["method"] for request in hub.requests} == {"GET"}


@pytest.mark.parametrize("token", ["secret-\ntoken", "secret-token\x00", "sécret-token"])
def test_a_malformed_token_is_never_sent_nor_told(hub, caplog, token):
    with pytest.raises(NotConfigured, match="the secret DAGSHUB_USER_TOKEN") as raised:
        archive(hub, token=token).commit("run2", MANIFEST)
    assert hub.requests == []
    assert "cret-" not in str(raised.value) + caplog.text
    assert archive(hub, token=f"{TOKEN}\n").commit("run2", MANIFEST) == hub.tip


def test_a_missing_token_asks_nobody_to_sign_in(hub):
    with pytest.raises(NotConfigured, match="set DAGSHUB_USER_TOKEN"):
        archive(hub, token="").commit("run2", MANIFEST)

    assert not hub.requests


def test_failing_server_is_retried_and_then_given_up(hub):
    hub.fails = 500
    with pytest.raises(ServiceUnavailable, match="no more space"):
        archive(hub).commit("run2", MANIFEST)

    assert len(hub.uploads()) == 5


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Unauthorized), (404, NotConfigured), (413, PermanentError)]
)
def test_a_refused_upload_is_told_by_its_status(hub, status, kind, monkeypatch):
    hub.fails = status
    monkeypatch.setattr("integration.training.dagshub_stub.ERROR", "refused")
    with pytest.raises(kind):
        archive(hub).commit("run2", MANIFEST)


def test_a_server_that_does_not_answer_is_told(hub):
    unreachable = Repository("http://127.0.0.1:9", "me/al", TOKEN)
    with pytest.raises(ServiceUnavailable, match="ConnectError"):
        DagshubDatasets(unreachable, 60).commit("run2", MANIFEST)


def test_stalled_upload_loses_no_model_and_blocks_no_job(hub, caplog):
    hub.stalls = True
    made = World()
    for index in range(60):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 10)
    made.serve(starter())
    began = time.monotonic()

    outcome = run(JOB, replace(made.ports, datasets=archive(hub, seconds=4)))

    assert outcome is Outcome.PROMOTED
    assert made.champions.current.version == made.registry.aliases["champion"] == 1
    assert time.monotonic() - began < 40
    assert len(hub.uploads()) == 1
    assert "within 4 s" in made.registry.tags[1]["octospoon.dataset_error"]
    assert "octospoon.dataset_commit" not in made.registry.tags[1]
    (warned,) = [
        record
        for record in caplog.records
        if record.levelno == logging.WARNING and "manifest" in record.message
    ]
    assert "in the artifacts bucket" in warned.message
    assert TOKEN not in caplog.text


def test_the_job_itself_never_imports_the_client():
    code = "import octospoon.training.wiring, sys; sys.exit('dagshub' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
