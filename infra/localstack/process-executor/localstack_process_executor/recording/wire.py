"""A request as it was sent: its parameters, and what of it no parameter takes."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from botocore.model import ListShape, MapShape, StructureShape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from botocore.model import OperationModel, Shape

# what signs a request, retries it or says who makes it
_SIGNATURE = re.compile(
    r"x-amz-(date|content-sha256|security-token|algorithm|credential|signedheaders|signature|expires|target|"
    r"user-agent|decoded-content-length|trailer|sdk-.*|checksum-.*|api-version|id-2)|x-id|amz-sdk-.*",
    re.IGNORECASE,
)
_QUERY = {"Action", "Version"}


@dataclass(frozen=True)
class Sent:
    """A request as it was sent.

    Attributes:
        protocol: of the service, as botocore names it.
        parsed: the parameters that LocalStack found.
        body: in bytes; of no use where an object is uploaded.
        query: names and values after the question mark; with the form's, for the protocol "query".
        headers: names in lower case.
    """

    protocol: str
    parsed: Mapping[str, Any]
    body: bytes = b""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Iterable[str] = ()


def parameters(
    operation: OperationModel, shape: StructureShape, sent: Sent
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of an operation, and what of the request is not among them.

    Args:
        operation: its model.
        shape: its input.
        sent: the request.
    """
    if sent.protocol == "json":
        problems: list[str] = []
        value = _from_json(shape, _loaded(sent.body, problems), "", problems)
        return (value if isinstance(value, dict) else {}), problems
    given = {name: value for name, value in sent.parsed.items() if value is not None}
    if sent.protocol == "query":
        names = [name for name in sent.query if name not in _QUERY]
        return given, [f"{name}: unknown parameter" for name in names if not _known(shape, name.split("."))]
    if sent.protocol in ("rest-xml", "rest-json"):
        return given, [*_strangers(operation, shape, sent), *_strange_body(shape, sent)]
    return given, []


def _loaded(body: bytes, problems: list[str]) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(body or b"{}")
    except ValueError:
        problems.append("the body is no JSON")
        return {}


def _from_json(shape: Shape, value: Any, path: str, problems: list[str]) -> Any:  # noqa: ANN401
    """Return a parameter from its JSON, and note members that no shape has."""
    if value is None:
        problems.append(f"{path}: null")
    elif getattr(shape, "is_document_type", False):
        return value
    elif isinstance(shape, StructureShape) and isinstance(value, dict):
        return dict(_members(shape, value, path, problems))
    elif isinstance(shape, ListShape) and isinstance(value, list):
        return [_from_json(shape.member, item, f"{path}[]", problems) for item in value]
    elif isinstance(shape, MapShape) and isinstance(value, dict):
        return {name: _from_json(shape.value, item, f"{path}{{}}", problems) for name, item in value.items()}
    elif shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            problems.append(f"{path}: no Base64")
    return value


def _members(
    shape: StructureShape, value: dict[str, Any], path: str, problems: list[str]
) -> Iterator[tuple[str, Any]]:
    names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
    for sent, inner in value.items():
        place = f"{path}.{sent}".strip(".")
        if sent in names:
            yield names[sent], _from_json(shape.members[names[sent]], inner, place, problems)
        else:
            problems.append(f"{place}: unknown parameter")


def _known(shape: Shape, path: list[str]) -> bool:
    """Return whether a key of a form, such as ``Tags.member.1.Key``, names a parameter."""
    if not path:
        return True
    if isinstance(shape, StructureShape):
        name, *rest = path
        for member, inner in shape.members.items():
            label = inner.serialization.get("name", member)
            if isinstance(inner, ListShape) and inner.serialization.get("flattened"):
                label = inner.member.serialization.get("name", label)
            if label == name:
                return _known(inner, rest)
        return False
    if isinstance(shape, ListShape):
        flattened = shape.serialization.get("flattened")
        rest = path if flattened else path[1:]
        label = "" if flattened else shape.member.serialization.get("name", "member")
        return (flattened or path[0] == label) and rest[0].isdigit() and _known(shape.member, rest[1:])
    if isinstance(shape, MapShape):
        rest = path if shape.serialization.get("flattened") else path[1:]
        return rest[0].isdigit() and rest[1] in ("key", "value", "Name", "Value")
    return False


def _strangers(operation: OperationModel, shape: StructureShape, sent: Sent) -> Iterator[str]:
    """Yield the names after the question mark and the headers of AWS's that the operation has not."""
    by_place: dict[str, list[tuple[str, Shape]]] = {}
    for name, member in shape.members.items():
        place = member.serialization.get("location", "")
        by_place.setdefault(place, []).append((member.serialization.get("name", name).lower(), member))
    fixed = operation.http["requestUri"].partition("?")[2]
    named = {name for name, _ in by_place.get("querystring", [])}
    named |= {part.partition("=")[0].lower() for part in fixed.split("&")}
    free = any(isinstance(member, MapShape) for _, member in by_place.get("querystring", []))
    for name in sent.query:
        if not (free or name.lower() in named or _SIGNATURE.fullmatch(name)):
            yield f"{name}: unknown in the query"
    headers = {name for name, _ in by_place.get("header", [])}
    prefixes = tuple(name for name, _ in by_place.get("headers", []))
    for name in sent.headers:
        known = name in headers or name.startswith(prefixes) or _SIGNATURE.fullmatch(name)
        if name.startswith("x-amz-") and not known:
            yield f"{name}: unknown header"


def _strange_body(shape: StructureShape, sent: Sent) -> list[str]:
    """Return the members of a body, in JSON or XML, that no parameter takes."""
    payload = shape.serialization.get("payload")
    content = shape.members[payload] if payload else shape
    if not sent.body or not isinstance(content, StructureShape):
        return []
    problems: list[str] = []
    if sent.protocol == "rest-json":
        _from_json(content, _loaded(sent.body, problems), "", problems)
    else:
        try:
            _from_xml(content, fromstring(sent.body), content.name, problems)  # noqa: S314 - of our own tests
        except ParseError:
            problems.append("the body is no XML")
    return problems


def _from_xml(shape: Shape, element: Element, path: str, problems: list[str]) -> None:
    """Note the elements that no shape has."""
    if not isinstance(shape, StructureShape):
        return
    names = {member.serialization.get("name", name): member for name, member in shape.members.items()}
    for child in element:
        tag = child.tag.rpartition("}")[2]
        place = f"{path}.{tag}"
        member = names.get(tag)
        if member is None:
            problems.append(f"{place}: unknown element")
        elif not isinstance(member, ListShape):
            _from_xml(member, child, place, problems)
        else:
            for item in [child] if member.serialization.get("flattened") else child:
                _from_xml(member.member, item, f"{place}[]", problems)
