"""A client of the page without a server, which keeps its cookies as a browser does."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx


class Client:
    """A browser's part of the requests to one application.

    Args:
        app: the ASGI application.
        base: its address.
    """

    def __init__(self, app: Any, base: str) -> None:
        self._app, self._base = app, base
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(
                transport=transport, base_url=self._base, cookies=self.cookies
            ) as client:
                answer = await client.request(method, path, **options)
                self.cookies.update(client.cookies)
                return answer

        return asyncio.run(asked())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)
