"""The secrets that callers prove themselves by."""

from __future__ import annotations

import hmac


def same_secret(given: str, secret: str) -> bool:
    """Compare what a caller sent with the secret, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(*(text.encode(errors="surrogatepass") for text in (given, secret)))
