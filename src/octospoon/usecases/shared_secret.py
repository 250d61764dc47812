"""Compare the secrets that callers send."""

from __future__ import annotations

import hmac


def same_secret(given: str, secret: str) -> bool:
    """Compare a caller's secret with the right one, in a time that does not depend on how much is right."""
    return hmac.compare_digest(*(text.encode(errors="surrogatepass") for text in (given, secret)))
