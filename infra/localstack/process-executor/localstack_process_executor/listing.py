"""S3's listing by key, as S3 does it.

LocalStack compares keys as the answer holds them, percent-encoded, with a StartAfter that is not: after
`a b.png` comes `a%20b.png`, the same key, for ever, and some keys never come.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from localstack.services.s3.provider import S3Provider

_ENCODED = ("Prefix", "Delimiter", "StartAfter")


class S3ByKey(S3Provider):
    """LocalStack's S3, which compares keys before it encodes them."""

    def list_objects_v2(
        self,
        context: Any,  # noqa: ANN401 - LocalStack's types are not ours
        bucket: str,
        encoding_type: str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """List without encoding, then encode the keys as S3 does."""
        answer: dict[str, Any] = super().list_objects_v2(context, bucket, encoding_type=None, **options)
        if not encoding_type:
            return answer
        for entry in answer.get("Contents", []):
            entry["Key"] = quote(entry["Key"])
        for entry in answer.get("CommonPrefixes", []):
            entry["Prefix"] = quote(entry["Prefix"])
        encoded = {name: quote(answer[name]) for name in _ENCODED if answer.get(name)}
        return {**answer, **encoded, "EncodingType": encoding_type}
