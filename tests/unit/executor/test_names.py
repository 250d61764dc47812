"""Names, ids and secrets after a second deployment, and the folder that shows objects by key."""

from __future__ import annotations

import re
import threading
from types import SimpleNamespace

import pytest
from localstack_process_executor.durable import links
from localstack_process_executor.durable.names import Derived


def identifier(service: str, resource: str, name: str):
    class Identifier:
        def __init__(self):
            self.service, self.resource = service, resource

        def __str__(self):
            return f"{service}.{resource}.{name}"

    return {"resource_identifier": Identifier()}


def test_a_seed_gives_the_same_names_each_time():
    first, again, other = Derived(b"one"), Derived(b"one"), Derived(b"other")
    name = first.name("octospoon", "PoolTable")
    assert re.fullmatch(r"octospoon-PoolTable-[0-9a-f]{8}", name)
    assert name == again.name("octospoon", "PoolTable")
    assert name != other.name("octospoon", "PoolTable")
    assert name != first.name("octospoon", "ControlTable")
    assert len(first.name("s" * 80, "LogicalIdThatIsLongerThanAllowed")) == 63


def test_ids_have_the_form_of_their_service():
    derived = Derived(b"one")
    stack = derived.id(identifier("cloudformation", "stack", "octospoon"))
    assert stack
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", stack)
    assert stack == Derived(b"one").id(identifier("cloudformation", "stack", "octospoon"))
    api = derived.id(identifier("apigateway", "rest_api", "octospoon-webhook"))
    assert api
    assert re.fullmatch(r"[0-9a-f]{10}", api)
    secret = derived.id(identifier("secretsmanager", "secret", "octospoon-WebhookSecret"))
    assert secret
    assert re.fullmatch(r"[0-9a-f]{6}", secret)
    assert derived.id(identifier("apigateway", "deployment", "x")) is None
    assert derived.id({}) is None


def test_each_secret_is_the_same_each_time_in_every_thread():
    derived = Derived(b"one")
    drawn: dict[str, list[int]] = {}

    def create(_provider, request):
        drawn[request.logical_resource_id + str(request.turn)] = [derived.randrange(1000) for _ in range(20)]

    threads = [
        threading.Thread(
            target=derived.for_resource(create),
            args=(None, SimpleNamespace(stack_name="s", logical_resource_id=name, turn=turn)),
        )
        for name in ("Webhook", "Predict")
        for turn in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn["Webhook0"] == drawn["Webhook1"]
    assert drawn["Predict0"] == drawn["Predict1"]
    assert drawn["Webhook0"] != drawn["Predict0"]
    assert len(set(drawn["Webhook0"])) > 10


@pytest.mark.parametrize(
    "key", ["cat/1.png", "a b.png", "../up", "/top", "a//b", "x" * 300, "ende\0", "é/🐙.png"]
)
def test_an_object_is_shown_under_its_key_while_it_exists(tmp_path, key):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    shown = tmp_path / "objects"
    links.link(shown, "bucket", key, first)
    path = links.path_of(shown, "bucket", key)
    assert path.read_bytes() == b"1"
    assert path.is_relative_to(shown)
    links.link(shown, "bucket", key, second)
    assert path.read_bytes() == b"2"
    links.unlink(shown, "bucket", key)
    assert not path.exists()
    links.unlink(shown, "bucket", key)


def test_a_key_may_be_the_folder_of_another(tmp_path):
    stored = tmp_path / "stored"
    stored.write_bytes(b"1")
    for key in ("a", "a/b", "c/d", "c"):
        links.link(tmp_path / "objects", "bucket", key, stored)
        assert links.path_of(tmp_path / "objects", "bucket", key).read_bytes() == b"1"
