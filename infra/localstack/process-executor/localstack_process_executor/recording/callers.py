"""Who makes a request to LocalStack, and the policies that are attached to it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from localstack.utils.aws.request_context import extract_access_key_id_from_auth_header
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

if TYPE_CHECKING:
    from collections.abc import Mapping

OPERATOR = "operator"
"""Whoever has keys of no role and no user: the command line, and the tests."""
_MADE = re.compile("[AL][SK]IA")
_APPLICATION = re.compile(r"\bapp/(\S+)")
_PARTITION = "aws"


class Callers:
    """Finds callers by their access keys, and remembers them."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, account: str, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        """Return ``role/NAME``, ``user/NAME``, ``app/NAME`` or OPERATOR.

        An application is one that AWS_SDK_UA_APP_ID names.

        Args:
            account: of the request.
            headers: of the request.
            query: of the request, for presigned addresses.
        """
        key = extract_access_key_id_from_auth_header(headers) or query.get("X-Amz-Credential", "")
        key = key.partition("/")[0]
        if key not in self._known and _MADE.match(key):
            self._known[key] = _owner(account, key)
        if owner := self._known.get(key):
            return owner
        application = _APPLICATION.search(headers.get("User-Agent", ""))
        return f"app/{application[1]}" if application else OPERATOR


def _owner(account: str, key: str) -> str:
    if role := sts_backends[account][_PARTITION].get_assumed_role_from_access_key(key):
        return f"role/{role.role_arn.rpartition('/')[2]}"
    user = iam_backends[account][_PARTITION].get_user_from_access_key_id(key)
    return f"user/{user.name}" if user else ""


def policies(account: str, caller: str) -> dict[str, Any]:
    """Return the documents of a caller's policies by name.

    An application has keys of nobody. For it, these are the policies that the account has made, and those of
    its users as ``USER/POLICY``.
    """
    backend = iam_backends[account][_PARTITION]
    kind, _, name = caller.partition("/")
    if kind == "app":
        own = [policy for policy in backend.managed_policies.values() if ":aws:policy/" not in policy.arn]
        documents = {policy.name: policy.document for policy in own}
        for user in backend.users.values():
            documents |= {f"{user.name}/{policy}": document for policy, document in _of(user).items()}
    else:
        owners = (backend.roles if kind == "role" else backend.users).values()
        documents = next((_of(owner) for owner in owners if owner.name == name), {})
    return {policy: _parsed(document) for policy, document in documents.items()}


def _of(owner: Any) -> dict[str, Any]:  # noqa: ANN401 - moto's types are not ours
    """Return the documents of a role's or a user's policies, attached or its own."""
    attached = {policy.name: policy.document for policy in owner.managed_policies.values()}
    return {**attached, **owner.policies}


def _parsed(document: Any) -> Any:  # noqa: ANN401
    return json.loads(document) if isinstance(document, str) else document
