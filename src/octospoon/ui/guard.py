"""The guard before every route: who may ask, from where, and what the browser may do with the answer.

The page acts with the rights of the person who started it, so that no other program, page or machine may use
it. A request must name a loopback address as its host (a name that an attacker points to this machine is not
one), must carry the token, and must come from the page itself.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PARAMETER = "token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_READS = ("GET", "HEAD")


def new_token() -> str:
    """Return a random token of 256 bits, in characters that an address may hold."""
    return secrets.token_urlsafe(32)


class Guard:
    """An ASGI application that lets only the person with the token reach another.

    The token comes once in the address, as ``?token=…``. The answer puts it into a cookie that scripts cannot
    read and other sites cannot send, and leads to the same address without it.

    Args:
        app: what is guarded.
        token: from `new_token`.
        port: where the page is served; part of the cookie's name, because ports share cookies.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token, self._port = app, token, port
        self.cookie = f"octospoon-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no websocket
            raise ValueError(f"the page does not answer {scope['type']}")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(scope) or self._signed_in(scope)
        await (answer or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not self._is_ours(f"//{headers.get('host', '')}"):
            return PlainTextResponse("this page is served on the loopback address only", 421)
        site, origin = headers.get("sec-fetch-site", "same-origin"), headers.get("origin")
        if scope["method"] in _READS:
            # a link or a typed address may open the page itself; nothing else is for other sites
            opened = headers.get("sec-fetch-mode", "navigate") == "navigate"
            if site not in ("same-origin", "none") and not opened:
                return PlainTextResponse("other sites may not read this page", 403)
        elif origin is None or not self._is_ours(origin) or site != "same-origin":
            return PlainTextResponse("other sites may not act through this page", 403)
        return None

    def _is_ours(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host, port = parts.hostname, parts.port
        except ValueError:
            return False
        return host in LOOPBACK and port == self._port

    def _signed_in(self, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        """Return the answer to a request that the application must not see; None if it may."""
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        given = asked.pop(PARAMETER, "")
        if given and scope["path"] == "/" and scope["method"] in _READS and self._matches(given):
            query = urlencode(asked)
            answer = RedirectResponse(f"/?{query}" if query else "/", 303)
            answer.set_cookie(self.cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        if self._matches(self._cookie(scope)):
            return None
        return PlainTextResponse(
            "This page needs its token. Open the whole address that `octospoon ui` printed.", 401
        )

    def _cookie(self, scope: Scope) -> str:
        jar = SimpleCookie()
        try:
            jar.load(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return ""
        return jar[self.cookie].value if self.cookie in jar else ""

    def _matches(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())
