"""The same names, ids and secrets for a template each time it is deployed.

CloudFormation draws them at random. Here they depend on the seed of the store, the stack and the resource, so
a template that is deployed again finds its data under the names that they had.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import threading
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localstack_process_executor.durable.store import Store

_UNIQUE = 8
_LENGTHS = {("apigateway", "rest_api"): 10, ("secretsmanager", "secret"): 6}


def install(store: Store) -> None:
    """Let LocalStack derive what it would draw at random."""
    from localstack.services.cloudformation import deployment_utils, provider_utils
    from localstack.services.secretsmanager.resource_providers import aws_secretsmanager_secret as secrets
    from localstack.utils.id_generator import localstack_id_manager

    derived = Derived(store.seed)
    for module in (provider_utils, deployment_utils):
        module.generate_default_name = derived.name
    localstack_id_manager.add_id_source(derived.id)
    secrets.random = derived
    provider = secrets.SecretsManagerSecretProvider
    provider.create = derived.for_resource(provider.create)


class Derived:
    """What is derived from a seed.

    Args:
        seed: of the store.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawing = threading.local()

    def name(self, stack_name: str, logical_resource_id: str) -> str:
        """Return the name of a resource, in CloudFormation's form and length."""
        unique = self._digest(f"name {stack_name} {logical_resource_id}").hex()[:_UNIQUE]
        resource = logical_resource_id[:24]
        return f"{stack_name[: 63 - 2 - len(unique) - len(resource)]}-{resource}-{unique}"

    def id(self, context: Any) -> str | None:  # noqa: ANN401 - a dictionary of LocalStack's
        """Return the id of a stack, a REST API or a secret; None for everything else."""
        identifier = context.get("resource_identifier")
        what = (identifier.service, identifier.resource) if identifier else None
        digest = self._digest(f"id {identifier}")
        if what == ("cloudformation", "stack"):
            return str(uuid.UUID(bytes=digest[:16], version=4))
        return digest.hex()[: _LENGTHS[what]] if what in _LENGTHS else None

    def for_resource(self, create: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Return a `create` of a resource provider whose random numbers belong to the resource."""

        @functools.wraps(create)
        def created(provider: Any, request: Any) -> Any:  # noqa: ANN401
            with self._numbers_of(f"{request.stack_name} {request.logical_resource_id}"):
                return create(provider, request)

        return created

    def randrange(self, stop: int) -> int:
        """Return the next number below `stop` for the resource that this thread creates."""
        self._drawing.count += 1
        digest = self._digest(f"number {self._drawing.resource} {self._drawing.count}")
        return int.from_bytes(digest) % stop

    @contextlib.contextmanager
    def _numbers_of(self, resource: str) -> Iterator[None]:
        self._drawing.resource, self._drawing.count = resource, 0
        yield

    def _digest(self, what: str) -> bytes:
        return hmac.digest(self._seed, what.encode(), "sha256")
