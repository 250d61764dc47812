"""Botocore's service models, and what is wrong with a request by them."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, StringShape, StructureShape
from botocore.validate import ParamValidator

from localstack_process_executor.recording import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel, Shape

    from localstack_process_executor.recording.wire import Sent

_IDEMPOTENT = "idempotencyToken"


class Models:
    """The service models of one version of botocore.

    Args:
        folder: botocore's folder `data`; None for that of the installed botocore.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._loader = Loader(
            extra_search_paths=[folder] if folder else None, include_default_search_paths=not folder
        )

    @functools.cache  # noqa: B019 - there is one for each LocalStack
    def operation(self, service: str, name: str) -> OperationModel:
        """Return the model of an operation."""
        return self._service(service).operation_model(name)

    @functools.cache  # noqa: B019
    def _service(self, name: str) -> ServiceModel:
        return ServiceModel(self._loader.load_service_model(name, "service-2"), service_name=name)

    def problems(self, service: str, operation: str, sent: Sent) -> list[str]:
        """Return what is wrong with a request; no value of it is in the text.

        Args:
            service: as botocore names it.
            operation: the name of the operation.
            sent: the request.
        """
        model = self.operation(service, operation)
        shape = model.input_shape
        if shape is None:
            return []
        parameters, problems = wire.parameters(model, shape, sent)
        report = ParamValidator().validate(parameters, shape)
        errors = report._errors  # noqa: SLF001 - its own text of an error has the value
        problems += [f"{name or operation}: {reason}{_missing(more)}" for reason, name, more in errors]
        return problems + list(_beyond(shape, parameters, ""))


def _missing(more: dict[str, Any]) -> str:
    return f" {more['required_name']}" if "required_name" in more else ""


def _beyond(shape: Shape, value: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - any parameter
    """Yield where a value breaks a limit of its shape that botocore leaves to the service."""
    metadata = shape.metadata
    size = len(value) if isinstance(value, str | bytes | list | dict) else None
    if size is not None and "max" in metadata and size > metadata["max"]:
        yield f"{path}: {size} is over the maximum of {metadata['max']}"
    if isinstance(shape, StringShape) and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            yield f"{path}: no value of the enumeration {shape.name}"
        if (pattern := _pattern(metadata.get("pattern", ""))) and not pattern.fullmatch(value):
            yield f"{path}: does not match {pattern.pattern}"  # which has no anchors in most models
    for member, inner, place in _parts(shape, value, path):
        yield from _beyond(member, inner, place)


def _parts(shape: Shape, value: Any, path: str) -> Iterator[tuple[Shape, Any, str]]:  # noqa: ANN401
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name, inner in value.items():
            if name in shape.members:
                yield shape.members[name], inner, f"{path}.{name}".strip(".")
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for inner in value:
            yield shape.member, inner, f"{path}[]"
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        for name, inner in value.items():
            yield shape.key, name, f"{path}{{}}"
            yield shape.value, inner, f"{path}{{}}"


@functools.cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """Return the pattern of a model, which is Java's; None where Python has no such pattern."""
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error:
        return None
