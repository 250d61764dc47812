"""The web application: routes, errors as sentences, and the server on the loopback address."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from octospoon.adapters.mlflow.page_link import PORT
from octospoon.domain.errors import BadImage, BadRequest, Conflict, OctospoonError
from octospoon.ui import assets
from octospoon.ui.guard import LOOPBACK, PARAMETER, Guard
from octospoon.ui.selection import Selection
from octospoon.ui.thumbnails import SIDES, is_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from octospoon.ui.pages import Pages

LOG = logging.getLogger(__name__)
MOST_BODY = 30_000_000
"""Most bytes of a request: 20,000 keys of 1,024 bytes, and their quotes."""
_JSON = "application/json"
_FOR_EVER = "private, max-age=86400, immutable"
_STATUS = {BadRequest: 400, BadImage: 404, Conflict: 409}


def application(pages: Pages, sentence: Callable[[BaseException], str]) -> Starlette:
    """Return the application without its guard.

    Args:
        pages: what the routes answer.
        sentence: says in one sentence what an error means.
    """
    answer, action = partial(_answer, sentence), partial(_action, sentence)
    return Starlette(
        routes=[
            Route("/", _file, methods=["GET"]),
            Route("/static/{path:path}", _file, methods=["GET"]),
            Route("/data/state", answer(lambda _: pages.state()), methods=["GET"]),
            Route("/data/pool", _pool(pages), methods=["GET"]),
            Route("/data/batch", answer(lambda request: pages.batch(_number(request))), methods=["GET"]),
            Route("/data/preview", answer(lambda _: pages.preview()), methods=["GET"]),
            Route("/data/image", answer(lambda request: pages.image(_key(request))), methods=["GET"]),
            Route("/data/model", answer(lambda _: pages.model()), methods=["GET"]),
            Route("/data/watch", answer(lambda _: pages.watch()), methods=["GET"]),
            Route("/run/{version:int}", _run(pages, sentence), methods=["GET"]),
            Route("/thumbnails/{size}/{image}.jpg", _thumbnail(pages, sentence), methods=["GET"]),
            Route("/do/refresh", action(lambda _: pages.refresh()), methods=["POST"]),
            Route("/do/again", action(pages.again), methods=["POST"]),
            Route("/do/cost", action(lambda _: pages.cost()), methods=["POST"]),
            Route("/do/label", action(pages.label), methods=["POST"]),
            Route("/do/retire", action(pages.retire), methods=["POST"]),
            Route("/do/restore", action(pages.restore), methods=["POST"]),
        ]
    )


def _answer(
    sentence: Callable[[BaseException], str], document: Callable[[Request], Any]
) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:  # Starlette runs it in a thread
        try:
            return Response(msgspec.json.encode(document(request)), media_type=_JSON)
        except Exception as error:  # noqa: BLE001 - the page shows the sentence
            return _failure(error, sentence)

    return endpoint


def _action(
    sentence: Callable[[BaseException], str], act: Callable[[list[str]], Any]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            keys = await _keys(request)
            return Response(msgspec.json.encode(await run_in_threadpool(act, keys)), media_type=_JSON)
        except Exception as error:  # noqa: BLE001 - the page shows the sentence
            return _failure(error, sentence)

    return endpoint


def serve(
    pages: Pages, sentence: Callable[[BaseException], str], token: str, listener: socket.socket
) -> None:
    """Serve the page until the process is told to stop.

    Args:
        pages: what the routes answer; their pool is read in the background.
        sentence: says in one sentence what an error means.
        token: lets a person in.
        listener: from `listen`.
    """
    pages.pool.start()
    try:
        guarded_server(pages, sentence, token, listener).run(sockets=[listener])
    finally:
        pages.pool.stop()


def guarded_server(
    pages: Pages, sentence: Callable[[BaseException], str], token: str, listener: socket.socket
) -> uvicorn.Server:
    """Return the server of `serve`, which is not started."""
    guarded = Guard(application(pages, sentence), token, listener.getsockname()[1])
    return uvicorn.Server(
        uvicorn.Config(
            guarded, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none"
        )
    )


def listen(port: int | None = None) -> socket.socket:
    """Return a socket that listens on the loopback address.

    Args:
        port: of this machine; None for `PORT`, or a free one if that is taken.

    Raises:
        OSError: the port is taken.
    """
    for wanted in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK[0], wanted))
            listener.listen()
        except OSError as error:
            listener.close()
            taken = error
        else:
            return listener
    raise taken


def address(listener: socket.socket, token: str) -> str:
    """Return the address that lets a person in."""
    return f"http://{LOOPBACK[0]}:{listener.getsockname()[1]}/?{PARAMETER}={token}"


def _file(request: Request) -> Response:
    path = request.path_params.get("path", assets.INDEX)
    content = assets.files().get(path)
    if content is None:
        return Response("there is no such file", 404, media_type="text/plain")
    return Response(content, headers={"Content-Type": assets.content_type(path)})


def _pool(pages: Pages) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        document = pages.document()
        return Response(status_code=204) if document is None else Response(document)

    return endpoint


def _run(pages: Pages, sentence: Callable[[BaseException], str]) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        version = request.path_params["version"]
        try:
            address = pages.run(version)
        except Exception as error:  # noqa: BLE001 - the person who followed the link reads the sentence
            return PlainTextResponse(sentence(error), 502)
        if not address.startswith(("http://", "https://")):
            return PlainTextResponse(f"MLflow has no run of version {version}.", 404)
        return RedirectResponse(address, 303)

    return endpoint


def _thumbnail(pages: Pages, sentence: Callable[[BaseException], str]) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        image, size = request.path_params["image"], request.path_params["size"]
        try:
            data = pages.thumbnail(image, size) if size in SIDES and is_id(image) else None
        except OctospoonError as error:
            return _failure(error, sentence)
        if data is None:
            return Response("there is no such image", 404, media_type="text/plain")
        # an id is of certain bytes, so that its thumbnail never changes
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": _FOR_EVER})

    return endpoint


async def _keys(request: Request) -> list[str]:
    """Return the keys in the body of an action; an action without a selection has an empty list."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            raise BadRequest("the request is too long")
    try:
        return msgspec.json.decode(bytes(body), type=Selection).keys
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadRequest(f"this is not a selection of images: {error}") from error


def _number(request: Request) -> int | None:
    text = request.query_params.get("round")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise BadRequest("a round is named by its number")
    return int(text)


def _key(request: Request) -> str:
    key = request.query_params.get("key")
    if not key:
        raise BadRequest("name the image: key=…")
    return key


def _failure(error: BaseException, sentence: Callable[[BaseException], str]) -> Response:
    if not isinstance(error, OctospoonError):
        LOG.info("a request failed", exc_info=error)
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 502)
    return Response(msgspec.json.encode({"error": sentence(error)}), status, media_type=_JSON)
