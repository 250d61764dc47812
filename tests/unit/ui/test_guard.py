"""Nobody but the person with the token reaches any route of the page."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from fakes.page import PageWorld
from starlette.applications import Starlette
from starlette.routing import Route
from unit.ui.browser import Client

from octospoon.ui.guard import HEADERS, Guard, new_token
from octospoon.ui.pages import Pages
from octospoon.ui.server import application

PORT = 8188
BASE = f"http://127.0.0.1:{PORT}"
TOKEN = "a-token"


@pytest.fixture
def app(tmp_path) -> Guard:
    world = PageWorld(tmp_path, images=6)
    return Guard(application(Pages(world.backend(), world.world.clock), str), TOKEN, PORT)


@pytest.fixture
def stranger(app: Guard) -> Client:
    return Client(app, BASE)


@pytest.fixture
def person(stranger: Client) -> Client:
    answer = stranger.get(f"/?token={TOKEN}")
    assert answer.status_code == 303
    return stranger


def routes() -> list[tuple[str, str]]:
    """Return every route of the application, with a value for each parameter."""
    made = application(Mock(), str)
    values = {"path:path": "app.css", "size": "small", "image": "0" * 16, "version:int": "1"}
    found = []
    for route in made.routes:
        assert isinstance(route, Route)
        path = route.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", value)
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def test_every_route_is_known() -> None:
    assert {"/", "/data/pool", "/do/label", "/static/app.css"} <= {path for _, path in routes()}
    assert len(routes()) >= 20


OTHERS = [("GET", "/none"), ("POST", "/"), ("DELETE", "/do/retire")]


@pytest.mark.parametrize(("method", "path"), [*routes(), *OTHERS])
def test_no_route_answers_without_the_token(stranger: Client, method: str, path: str) -> None:
    answer = stranger.request(method, path, headers={"Origin": BASE})
    assert answer.status_code == 401
    assert "octospoon ui" in answer.text or method == "HEAD"


@pytest.mark.parametrize("given", ["", "A-TOKEN", "a-toke", "a-token2", "ä", "%00"])
def test_a_wrong_token_lets_nobody_in(stranger: Client, given: str) -> None:
    assert stranger.get(f"/?token={given}").status_code == 401
    stranger.cookies.set(
        "octospoon-8188", given.encode().decode("latin-1").encode("ascii", "ignore").decode()
    )
    assert stranger.get("/data/state").status_code == 401


def test_the_token_becomes_a_cookie_that_scripts_cannot_read(stranger: Client) -> None:
    answer = stranger.get(f"/?token={TOKEN}")
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200


def test_the_token_counts_at_the_front_door_only(stranger: Client) -> None:
    assert stranger.get(f"/data/state?token={TOKEN}").status_code == 401
    assert stranger.post(f"/?token={TOKEN}", headers={"Origin": BASE}).status_code == 401


OTHER_HOSTS = ["evil.example", "evil.example:8188", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1:x"]


@pytest.mark.parametrize("host", [*OTHER_HOSTS, "127.0.0.1.evil.example:8188", "127.0.0.1:8188@evil.example"])
def test_another_host_name_is_refused(person: Client, host: str) -> None:
    assert person.get("/data/state", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8188", "[::1]:8188", "127.0.0.1:8188"])
def test_loopback_names_are_served(person: Client, host: str) -> None:
    cookie = {"Cookie": f"octospoon-8188={TOKEN}"}
    assert person.get("/data/state", headers={"Host": host, **cookie}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": BASE, "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://[::bad"},
    ],
)
def test_other_sites_cannot_act(person: Client, headers: dict[str, str]) -> None:
    answer = person.post("/do/refresh", json={"keys": []}, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("mode", ["no-cors", "cors", "same-origin"])
def test_other_sites_cannot_read(person: Client, mode: str) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
    assert person.get("/data/state", headers=headers).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
    assert person.get("/data/state", headers=own).status_code == 200


def test_the_page_itself_can_act(person: Client) -> None:
    headers = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert person.post("/do/refresh", json={"keys": []}, headers=headers).json() == {"asked": True}


@pytest.mark.parametrize("path", ["/", "/data/state", "/data/image?key=none", "/none"])
def test_every_answer_has_the_policy(person: Client, path: str) -> None:
    headers = person.get(path).headers
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_tokens_are_long_and_different() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_a_websocket_is_not_answered() -> None:
    guard = Guard(Starlette(routes=[]), TOKEN, PORT)
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(guard({"type": "websocket"}, None, None))
