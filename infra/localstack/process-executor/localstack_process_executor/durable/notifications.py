"""S3's test event once for each bucket and queue, although the template is deployed at each start.

S3 sends it when notifications are configured. Without this, each start would send two that nobody needs, and
a function would run for each.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from localstack.services.s3.notifications import SqsNotifier

from localstack_process_executor.durable.store import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from localstack_process_executor.durable.store import Store

    Method = Callable[..., Any]

SPACE = "notifications"


def install(store: Store) -> None:
    """Let S3 check a queue only if it has not checked it for the bucket before."""
    SqsNotifier._verify_target = _once(SqsNotifier._verify_target, store)  # noqa: SLF001 - it sends the event


def _once(original: Method, store: Store) -> Method:
    @functools.wraps(original)
    def verify_target(self: Any, target_arn: str, verification_ctx: Any) -> None:  # noqa: ANN401
        key = f"{verification_ctx.bucket_name} {target_arn}"
        if key not in dict(store.read(SPACE)):
            original(self, target_arn, verification_ctx)
            store.write([Change(SPACE, key, "")])

    return verify_target
