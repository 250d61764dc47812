"""AWS services that LocalStack does not serve, or not as this project needs them.

DynamoDB: LocalStack's own provider downloads a Java program on its first use. ECS and ECR: the open
LocalStack has no provider at all. These are answered by the moto that LocalStack depends on anyway. S3: two
LocalStacks on one machine would keep their objects in one folder, and a listing of odd keys would not end.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from localstack.services.plugins import Service, aws_provider

if TYPE_CHECKING:
    from collections.abc import Callable


class MotoProvider:
    """A provider without operations of its own."""

    def __init__(self, service: str) -> None:
        self.service = service


def _answered_by_moto(service: str) -> Service:
    from localstack.aws.spec import load_service
    from localstack.services.moto import _proxy_moto

    one_at_a_time = _serialised(_proxy_moto)
    return Service.for_provider(
        MotoProvider(service),
        dispatch_table_factory=lambda _: dict.fromkeys(load_service(service).operation_names, one_at_a_time),
    )


_moto = threading.RLock()
_afterwards: list[Callable[[], None]] = []


def after_each_request(action: Callable[[], None]) -> None:
    """Call an action after each request that moto handles, before its answer is sent."""
    _afterwards.append(action)


def _serialised(handler: Callable[..., Any]) -> Callable[..., Any]:
    """One call at a time: moto checks a condition before it writes, so two writers could both win."""

    def handle(context: Any, request: Any) -> Any:  # noqa: ANN401 - LocalStack's types are not ours
        with _moto:
            try:
                return handler(context, request)
            finally:
                for action in _afterwards:
                    action()

    return handle


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    """DynamoDB, chosen with PROVIDER_OVERRIDE_DYNAMODB=moto."""
    from localstack_process_executor import statements, transactions

    statements.install()
    transactions.install()
    return _answered_by_moto("dynamodb")


@aws_provider(api="dynamodbstreams", name="moto")
def dynamodbstreams() -> Service:
    """DynamoDB Streams, chosen with PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto."""
    return _answered_by_moto("dynamodbstreams")


@aws_provider(api="s3", name="temporary")
def s3() -> Service:
    """S3 in a folder of its own, chosen with PROVIDER_OVERRIDE_S3=temporary; it is kept in STATE_FOLDER."""
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

    from localstack_process_executor.durable import hook
    from localstack_process_executor.listing import S3ByKey

    store = hook.opened()
    if store is None:
        return Service.for_provider(S3ByKey(storage_backend=EphemeralS3ObjectStore()))

    from localstack_process_executor.durable import notifications, objects

    notifications.install(store)
    return Service.for_provider(S3ByKey(storage_backend=objects.install(store, store.path.parent)))


@aws_provider(api="ecs")
def ecs() -> Service:
    """ECS: the resources exist, no task runs."""
    return _answered_by_moto("ecs")


@aws_provider(api="ecr")
def ecr() -> Service:
    """ECR: the repositories exist, nothing can be pushed to them."""
    return _answered_by_moto("ecr")
