"""Describe failed HTTP requests without secrets.

The text of an HTTP library's error may quote a header or an address that contains a secret. So this text is
never passed on, and the error is not chained: `raise … from None`.
"""

from __future__ import annotations

_LIBRARIES = {"aiohttp", "botocore", "http", "httpcore", "httpx", "requests", "urllib3"}
_HINTS = {
    "InvalidHeader": "a header cannot be sent as it is set",
    "InvalidURL": "the address is malformed",
    "LocalProtocolError": "a header or the address cannot be sent as it is set",
    "UnicodeEncodeError": "a header or the address holds characters that HTTP cannot carry",
    "UnsupportedProtocol": "the address must begin with http:// or https://",
}


def described(error: BaseException) -> str:
    """Return an error's type, and the operating system's reason if there is one."""
    name = type(error).__name__
    reason = _HINTS.get(name) or _system_reason(error)
    return f"{name}: {reason}" if reason else name


def failure_text(error: BaseException) -> str:
    """Return an error's type and text; for an HTTP library's error, the result of `described`."""
    if type(error).__module__.partition(".")[0] in _LIBRARIES:
        return described(error)
    return f"{type(error).__name__}: {error}"


def _system_reason(error: BaseException) -> str:
    """Return the reason of the first error in the chain that the operating system raised."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None and seen.strerror:
            return str(seen.strerror)
        seen = seen.__cause__ or seen.__context__
    return ""
