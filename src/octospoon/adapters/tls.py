"""The TLS settings that all requests of one process share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import ssl


@functools.cache
def tls_settings() -> ssl.SSLContext:
    """Return httpx's own settings, for its argument ``verify``.

    Without it, httpx reads all certificates for each client, and for each request without a client. That
    takes 25 ms.
    """
    return httpx.create_ssl_context()
