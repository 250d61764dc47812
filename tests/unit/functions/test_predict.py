"""The whole handler of `predict`: real decoding, and a scorer that separates light and dark images."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.images import FakeImages, FakeInbox
from fakes.pool import FakeBlindImages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from octospoon.adapters.imaging.decode import frame
from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.cli.deploy import sam_template
from octospoon.domain.errors import BadModel, NotConfigured, ServiceUnavailable
from octospoon.domain.model_spec import ModelSpec
from octospoon.domain.pool.images import ImageBytes, Prediction
from octospoon.domain.pool.source import ImagesSource
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.runtime import rest
from octospoon.runtime.wiring import predict as wiring
from octospoon.runtime.wiring.buckets import BucketStorage
from octospoon.usecases.predict import PredictImages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from octospoon.domain.pool.framing import Framed, Region

# the handler ignores it too; pytest begins each test with filters of its own
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "payloads" / "label-studio-ml"
SECRET = "correct horse battery"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
PROJECT_TOKEN = "example-project-token"


class LightScorer:
    spec = ModelSpec(("bird", "cat", "dog"), 4, 4, 1, "squash", "b" * 64, 7)

    def preprocess(self, data: bytes) -> Framed:
        return frame(data, 4, 4, "squash")

    def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
        shares = np.array([0.1, 0.1, 0.8] if images.mean() > 127 else [0.8, 0.1, 0.1], np.float32)
        known = shares if self.spec.classes else None
        return [Prediction(self.spec.version, "b" * 64, np.zeros(1, np.float32), known)]


class ColdScorer(LightScorer):
    spec = ModelSpec((), 4, 4, 1, "squash", "b" * 64, 0)


class Context:
    function_name = "predict"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:predict"
    aws_request_id = "request"
    left = 28_000

    def get_remaining_time_in_millis(self) -> int:
        return self.left


def image(grey: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), grey).save(buffer, kind)
    return buffer.getvalue()


LIGHT, DARK = image(250), image(5)


@dataclass
class World:
    module: Any
    images: FakeImages = field(default_factory=FakeImages)
    inbox: FakeInbox = field(default_factory=FakeInbox)
    model: Any = LightScorer
    context: Context = field(default_factory=Context)
    log: io.StringIO = field(default_factory=io.StringIO)

    def ask(
        self, path: str = "/predict", body: bytes | str = b"", *, method: str = "POST", **event: Any
    ) -> tuple[int, Any]:
        encoded = body if isinstance(body, str) else base64.b64encode(body).decode()
        headers = {"X-Octospoon-Secret": SECRET}
        whole = {
            "httpMethod": method,
            "resource": path,
            "path": path,
            "headers": headers,
            "queryStringParameters": None,
            "body": encoded,
            "isBase64Encoded": isinstance(body, bytes),
        } | event
        answer = self.module.handler(whole, self.context)
        assert answer["headers"] == {"Content-Type": "application/json"}
        assert answer["isBase64Encoded"] is False
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    package = logging.getLogger("octospoon")
    before = (package.handlers, package.level, package.propagate)
    spec = importlib.util.spec_from_file_location("predict_app", ROOT / "functions" / "predict" / "app.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    package.handlers, package.propagate = before[0], before[2]
    package.setLevel(before[1])


@pytest.fixture
def world(module: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(module)
    made.images.objects |= {"images/img-000.jpg": (LIGHT, "e"), "images/img-001.jpg": (DARK, "e")}
    monkeypatch.setenv("OCTOSPOON_IMAGES_BUCKET", "raw")
    monkeypatch.setenv("OCTOSPOON_ARTIFACTS_BUCKET", "artifacts")
    monkeypatch.setattr(wiring, "predict_secret", lambda: SECRET)
    monkeypatch.setattr(wiring, "version_in_service", lambda: 7)
    use_case = PredictImages(made.images, made.inbox, lambda: made.model(), CLASSIFICATION, FakeBlindImages())
    monkeypatch.setattr(module, "use_case", lambda: use_case)
    streams = [(handler, handler.setStream(made.log)) for handler in module.logger.handlers]
    yield made
    for handler, stream in streams:
        handler.setStream(stream)


DOG = {
    "classes": ["bird", "cat", "dog"],
    "probabilities": [0.1, 0.1, 0.8],
    "label": "dog",
    "confidence": 0.8,
    "model_version": 7,
}


@pytest.mark.parametrize(
    ("shares", "label", "names", "confidence"),
    [
        ([0.6, 0.1, 0.8], '["bird","dog"]', ["bird", "dog"], 0.6),
        ([0.3, 0.1, 0.2], "[]", [], 0.7),
    ],
)
def test_every_likely_class_is_named(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    shares: list[float],
    label: str,
    names: list[str],
    confidence: float,
) -> None:
    class Sigmoids(LightScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            return [Prediction(7, "b" * 64, np.zeros(1, np.float32), np.array(shares, np.float32))]

    use_case = replace(world.module.use_case(), task_type=MULTILABEL)
    monkeypatch.setattr(world.module, "use_case", lambda: use_case)
    world.model = Sigmoids

    status, answer = world.ask(body=LIGHT)

    assert (status, answer["probabilities"]) == (200, shares)
    assert (answer["label"], answer["labels"]) == (label, names)
    assert answer["confidence"] == pytest.approx(confidence)


def test_boxes_have_classes_places_and_scores(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Detector(LightScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            rows = np.zeros((3, 4 + len(self.spec.classes)), np.float32)
            rows[0, :5], rows[1, :6] = [0.25, 0.5, 0.75, 1, 0.875], [0, 0, 0.5, 0.5, 0, 0.25]
            return [Prediction(7, "b" * 64, np.zeros(1, np.float32), rows)]

    use_case = replace(world.module.use_case(), task_type=DETECTION)
    monkeypatch.setattr(world.module, "use_case", lambda: use_case)
    world.model = Detector
    name = Detector.spec.classes[0]

    status, answer = world.ask(body=LIGHT)

    assert status == 200
    assert answer["boxes"] == [{"class": name, "box": [0.25, 0.5, 0.75, 1.0], "score": 0.875}]
    assert (answer["label"], answer["labels"]) == (f'[["{name}",0.25,0.5,0.75,1.0]]', [name])
    assert answer["confidence"] == pytest.approx(0.875 * 0.75)
    assert "probabilities" not in answer


# -- one image ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        LIGHT,
        image(250, "JPEG"),
        json.dumps({"image": base64.b64encode(LIGHT).decode()}).encode(),
        json.dumps({"image": base64.b64encode(LIGHT).decode()}),
        '  {"key": "images/img-000.jpg"}',
    ],
    ids=["png", "jpeg", "JSON as bytes", "JSON as text", "key"],
)
def test_an_image_in_an_answer_now(world: World, body: bytes | str) -> None:
    assert world.ask(body=body) == (200, DOG)
    assert world.inbox.added == {}


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (LIGHT, {"add": "true"}),
        (json.dumps({"image": base64.b64encode(LIGHT).decode(), "add": True}), None),
        (json.dumps({"image": base64.b64encode(LIGHT).decode()}), {"add": "True"}),
    ],
)
def test_the_image_joins_the_pool_if_asked(world: World, body: bytes | str, query: Any) -> None:
    status, answer = world.ask(body=body, queryStringParameters=query)

    assert (status, answer) == (200, DOG | {"key": answer["key"]})
    assert world.inbox.added == {answer["key"]: LIGHT}


HUGE = b"BM" + b"\0" * 12 + b"\x28\0\0\0" + (60_000).to_bytes(4, "little") * 2 + b"\x01\0\x18\0" + b"\0" * 24


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"milk, eggs", "not-an-image"),
        (b"\xff" * 99, "not-an-image"),
        (LIGHT[:50], "truncated"),
        (b"\0\0\0 ftypcrx ", "unsupported"),
        (HUGE, "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_are_refused_with_reason_and_join_nothing(world: World, data: bytes, reason: str) -> None:
    status, answer = world.ask(body=data, queryStringParameters={"add": "true"})

    assert (status, answer["reason"]) == (422, reason)
    assert answer["error"].startswith(f"{reason}: ")
    assert world.inbox.added == {}


def test_a_bucket_that_is_only_read_gets_no_image(
    world: World, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: Any = None
    inbox = BucketStorage(names, source=ImagesSource(existing=True)).inbox
    use_case = PredictImages(world.images, inbox, lambda: world.model(), CLASSIFICATION, FakeBlindImages())
    monkeypatch.setattr(module, "use_case", lambda: use_case)

    status, answer = world.ask(body=LIGHT, queryStringParameters={"add": "true"})

    assert status == 400
    assert "only reads its images bucket" in answer["error"]
    assert world.ask(body=LIGHT) == (200, DOG)


def test_a_key_that_is_not_there(world: World) -> None:
    status, answer = world.ask(body='{"key": "nowhere.png"}')

    assert (status, answer["reason"]) == (404, "gone")


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ("{", None),
        ("{}", None),
        ('{"image": "", "key": "k"}', None),
        ('{"image": "no base64!"}', None),
        ('{"image": "ü"}', None),
        ('{"image": 5}', None),
        ('{"key": ""}', None),
        ('{"key": "\\ud800"}', None),
        (json.dumps({"key": "é" * 513}), None),
        ('{"key": "k", "add": true}', None),
        ('{"key": "k"}', {"add": "true"}),
        ('{"key": "k", "url": "http://169.254.169.254/"}', None),
        ("[" * 100_000, None),
        ('{"tasks": 1}', None),
        ('{"tasks": null}', None),
        ('{"tasks": []}', None),
        (LIGHT, {"add": "yes"}),
    ],
)
def test_a_question_that_is_none_is_refused(world: World, body: bytes | str, query: Any) -> None:
    headers = {"x-octospoon-secret": SECRET, "content-type": "application/json"} if body[:1] == "[" else {}
    event = {"headers": headers} if headers else {}
    status, answer = world.ask(body=body, queryStringParameters=query, **event)

    assert status == 400
    assert answer.keys() == {"error"}


def test_a_body_that_is_neither_text_nor_base64(world: World) -> None:
    assert world.ask(body="***", isBase64Encoded=True)[0] == 400
    assert world.ask(body="\ud800")[0] == 400


def test_a_body_that_lambda_would_hardly_take(world: World) -> None:
    status, answer = world.ask(body="x" * (rest.MAX_BODY + 1))

    assert status == 413
    assert "images bucket" in answer["error"]


def test_a_cold_start_model_says_so(world: World) -> None:
    world.model = ColdScorer

    status, answer = world.ask(body=LIGHT, queryStringParameters={"add": "true"})

    assert (status, answer["model_version"]) == (409, 0)
    assert "training" in answer["error"]
    assert list(world.inbox.added) == [answer["key"]]
    assert world.ask(body=tasks("s3://raw/images/img-000.jpg")) == (200, {"results": [[]]})


def none_yet() -> Any:
    raise ServiceUnavailable("no model can be loaded yet: run `octospoon init-model` first")


@pytest.mark.parametrize("route", ["picture", "tasks", "setup", "versions"])
def test_without_a_champion_everybody_hears_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    world.model = none_yet
    monkeypatch.setattr(wiring, "version_in_service", none_yet)
    requests = {
        "picture": ("/predict", LIGHT),
        "tasks": ("/predict", tasks("s3://raw/k")),
        "setup": ("/setup", json.dumps({"schema": labelling_interface(["a", "b"])})),
        "versions": ("/versions", b""),
    }
    status, answer = world.ask(*requests[route], method="GET" if route == "versions" else "POST")

    assert status == 503
    assert "octospoon init-model" in answer["error"]


def test_model_that_fails_on_every_image_is_our_error(world: World) -> None:
    class Broken(LightScorer):
        def predict(self, images: np.ndarray, regions: Sequence[Region] | None = None) -> list[Prediction]:
            raise BadModel("the output is not finite")

    world.model = Broken
    assert world.ask(body=LIGHT)[0] == 503


def test_internal_problem_is_an_error_of_the_function(world: World) -> None:
    def wrong() -> Any:
        raise NotConfigured("a setting is wrong")

    world.model = wrong
    with pytest.raises(NotConfigured):
        world.ask(body=LIGHT)


def test_no_image_is_begun_without_time(world: World) -> None:
    world.context.left = 1000

    assert world.ask(body=LIGHT)[0] == 503
    assert world.ask(body=tasks("s3://raw/images/img-000.jpg")) == (200, {"results": [[]]})


# -- who may ask ----------------------------------------------------------------------------------

BASIC = base64.b64encode(f"anybody:{SECRET}".encode()).decode()
ROUTES = [("POST", "/predict"), ("GET", "/health"), ("POST", "/setup"), ("GET", "/versions")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"X-Octospoon-Secret": ""},
        {"X-Octospoon-Secret": SECRET[:-1]},
        {"X-Octospoon-Secret": "\ud800", "Authorization": f"Basic {BASIC}"},
        {"Authorization": SECRET},
        {"Authorization": f"Bearer {BASIC}"},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()},
        {"Authorization": "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode()},
        {"Authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()},
        {"Authorization": "Basic ü"},
    ],
)
def test_without_the_secret_nothing_is_answered(world: World, method: str, path: str, headers: Any) -> None:
    status, answer = world.ask(
        path, LIGHT, method=method, headers=headers, queryStringParameters={"add": "true"}
    )

    assert status == 401
    assert "secret" in answer["error"]
    assert world.inbox.added == {}


@pytest.mark.parametrize("kind", ["Basic", "basic"])
def test_label_studio_signs_in_with_a_password(world: World, kind: str) -> None:
    assert world.ask(body=LIGHT, headers={"authorization": f"{kind} {BASIC}"}) == (200, DOG)


def test_no_other_route(world: World) -> None:
    assert world.ask("/train", b"{}")[0] == 404
    assert world.ask("/predict", method="GET")[0] == 404


def test_the_template_has_every_route_and_no_other(world: World) -> None:
    function = sam_template.read(ROOT / "template.yaml")["Resources"]["PredictFunction"]
    events = [event["Properties"] for event in function["Properties"]["Events"].values()]

    assert {event["RestApiId"]["Ref"] for event in events} == {"PredictApi"}
    assert sorted((event["Method"], event["Path"]) for event in events) == sorted(
        [*world.module.ROUTES, ("POST", "/webhook")]
    )


# -- Label Studio ---------------------------------------------------------------------------------


def tasks(*images: object, config: str = labelling_interface(["cat", "dog"])) -> str:
    listed = [{"id": i, "data": {"image": image, "key": "k"}} for i, image in enumerate(images)]
    return json.dumps({"tasks": listed, "label_config": config, "params": {"login": None}})


def test_each_task_is_answered_from_our_bucket_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        FakeImages, "read", lambda self, key: read.append(key) or ImageBytes(*self.objects[key])
    )
    world.images.objects["bad"] = (b"no picture", "e")
    images = ["s3://raw/images/img-000.jpg", "http://169.254.169.254/", "s3://raw/bad", "s3://other/k", 5]

    status, answer = world.ask(body=tasks(*images))

    dog = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["dog"]}}
    assert (status, answer["results"][1:]) == (200, [[], [], [], []])
    assert answer["results"][0] == {"model_version": "v7", "score": 0.8, "result": [dog]}
    assert read == ["images/img-000.jpg", "bad"]


def test_a_class_that_the_interface_lacks_is_not_sent(world: World) -> None:
    assert world.ask(body=tasks("s3://raw/images/img-001.jpg")) == (200, {"results": [[]]})


def recorded() -> list[Any]:
    return [json.loads(file.read_text()) for file in sorted(RECORDED.glob("*.json"))]


def test_every_recorded_request_gets_an_answer_like_the_recorded_one(
    world: World,
) -> None:
    assert {(request["method"], request["path"]) for request in recorded()} == {*ROUTES, ("POST", "/webhook")}
    for call in recorded():
        headers = {key: value for key, value in call["headers"].items() if key != "Authorization"}
        if "Authorization" in call["headers"]:
            assert call["headers"]["Authorization"].startswith("Basic ")
            headers["Authorization"] = f"Basic {BASIC}"
        body = "" if call["request_body"] is None else json.dumps(call["request_body"])
        status, answer = world.ask(call["path"], body, method=call["method"], headers=headers)
        assert status == 200, call["path"]
        assert shape(answer) == shape(
            call["response_body"] if call["path"] != "/webhook" else {"status": "ok"}
        )


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value)


# -- anything -------------------------------------------------------------------------------------

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just(TOKEN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
images = st.sampled_from(["s3://raw/images/img-000.jpg", "s3://raw/\0", "s3://raw/", "http://x/"]) | anything
near = st.fixed_dictionaries(
    {},
    optional={
        "tasks": st.lists(st.fixed_dictionaries({"data": st.fixed_dictionaries({"image": images})}))
        | anything,
        "label_config": st.just(labelling_interface(["cat", "dog"])) | st.text() | anything,
        "schema": st.text() | anything,
        "access_token": st.just(TOKEN),
        "image": st.binary(max_size=99).map(lambda data: base64.b64encode(data).decode()) | anything,
        "key": st.text() | anything,
        "add": st.booleans() | anything,
        "params": anything,
    },
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a request as Label Studio sends it, in which one value is replaced, or which is truncated."""
    whole = json.loads(tasks("s3://raw/images/img-000.jpg", "s3://raw/images/img-001.jpg"))
    whole |= {"access_token": TOKEN, "schema": whole["label_config"]}
    target = draw(st.sampled_from([whole, whole["tasks"][0], whole["tasks"][1]["data"]]))
    target[draw(st.sampled_from(sorted(target)))] = draw(anything)
    data = json.dumps(whole).encode()
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@st.composite
def damaged_images(draw: st.DrawFn) -> bytes:
    data = bytearray(image(99, draw(st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)[: draw(st.integers(0, len(data)))]


bodies = (
    st.binary(max_size=200)
    | near.map(lambda value: json.dumps(value).encode())
    | damaged()
    | damaged_images()
)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged files
@settings(
    max_examples=1500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    path=st.sampled_from(["/predict", "/predict", "/predict", "/setup", "/webhook"]),
    body=bodies | bodies.map(lambda data: data.decode("latin-1")),
    kind=st.sampled_from(["application/json", "image/png", "text/plain; charset=utf-8", "", "json"]),
    query=st.none() | st.dictionaries(st.just("add"), st.sampled_from(["true", "false"]) | st.text()),
)
def test_any_body_is_answered_or_refused_and_no_token_logged(
    world: World, path: str, body: bytes | str, kind: str, query: Any
) -> None:
    headers = {"X-Octospoon-Secret": SECRET, "Content-Type": kind}

    status, answer = world.ask(path, body, headers=headers, queryStringParameters=query)

    assert status == 200 or 400 <= status < 500
    assert status == 200 or answer["error"]
    log = world.log.getvalue()
    assert TOKEN not in log
    assert SECRET not in log
    world.log.truncate(0)  # the fixture lasts for all examples
    world.log.seek(0)


def test_no_token_that_was_recorded_and_no_secret_is_logged(world: World, capsys: Any) -> None:
    bodies = 0
    for request in recorded():
        body = json.dumps(request["request_body"])
        bodies += TOKEN in body or PROJECT_TOKEN in body
        for path in ("/predict", "/setup", "/webhook"):
            for given_secret in (SECRET, "wrong one, and no less secret"):
                headers = request["headers"] | {"X-Octospoon-Secret": given_secret}
                world.ask(path, body, headers=headers)
                world.ask(path, body[:-9], headers=headers)

    logged = world.log.getvalue() + "".join(capsys.readouterr())
    assert bodies >= 3
    assert "refused" in logged
    for secret in (TOKEN, PROJECT_TOKEN, SECRET, "no less secret", "dXNlcjpwYXNzd29yZA=="):
        assert secret not in logged
