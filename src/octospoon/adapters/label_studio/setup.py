"""Set up a Label Studio project. Existing objects are updated, so the setup can be repeated at any time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import canonicalize
from xml.sax.saxutils import quoteattr

from octospoon.adapters.label_studio.results import FROM_NAME, TO_NAME
from octospoon.domain.errors import BadRequest
from octospoon.domain.health import Webhook
from octospoon.domain.labelling.interface import parse_interface
from octospoon.domain.secrets import header_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.label_studio.api import LabelStudioApi

LOG = logging.getLogger(__name__)
_PAGE = 100
SECRET_HEADER = "X-Octospoon-Secret"  # noqa: S105 - the header's name
ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
_DIGITS = "1234567890"
_NO_KEY = " "
"""A hotkey that matches no key."""
_ASK = "Choose a class before you submit, or skip the task."
_OPTIONAL = 'choice="single" showInLine="true"'
_REQUIRED = f'{_OPTIONAL} required="true" requiredMessage={quoteattr(_ASK)}'
_IMAGE = 'zoom="true" zoomControl="true"'
_SMALL_IMAGE = 'zoom="true" maxWidth="512px"'  # of earlier interfaces
_EMPTY = "<View></View>"  # the interface of a new project
SAMPLING = "Sequential sampling"
"""Label Studio gives tasks to annotators in the order of creation, which keeps the order of a batch."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """How Label Studio reads the images bucket.

    Attributes:
        bucket: name of the images bucket.
        endpoint_url: address of S3; empty for AWS.
        region: of the bucket.
        access_key: empty to let Label Studio use its own role.
        secret_key: of the access key.
        presign: True redirects browsers to S3; False makes Label Studio proxy the bytes.
    """

    bucket: str
    endpoint_url: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = ""
    presign: bool = True


def labelling_interface(classes: Sequence[str]) -> str:
    """Return the labelling interface of a single-choice image classification, as Label Studio's XML.

    The image takes the whole width, and annotators can zoom.
    """
    return _interface(classes, _bound_keys(classes), _IMAGE, _REQUIRED)


def _interface(classes: Sequence[str], keys: Sequence[str], image: str, asked: str) -> str:
    choices = "\n".join(
        f"    <Choice value={quoteattr(name)}" + (f" hotkey={quoteattr(key)}/>" if key else "/>")
        for name, key in zip(classes, keys, strict=True)
    )
    return (
        "<View>\n"
        f'  <Image name="{TO_NAME}" value="$image" {image}/>\n'
        f'  <Choices name="{FROM_NAME}" toName="{TO_NAME}" {asked}>\n'
        f"{choices}\n  </Choices>\n</View>"
    )


def hotkeys(classes: Sequence[str]) -> list[str]:
    """Return a hotkey for each class, empty for none.

    A class named by a single letter or digit gets that key. If two such names differ only in case, the
    lower-case one gets it. Other single characters get none, because browsers name those keys by their place
    on the keyboard. All other classes get the remaining digits, 1 to 9 and 0, in order.
    """
    own = {name.lower(): name for name in sorted(classes) if _is_key(name)}
    free = iter([key for key in _DIGITS if key not in own])
    return [
        (name.lower() if own.get(name.lower()) == name else "") if len(name) == 1 else next(free, "")
        for name in classes
    ]


def _is_key(name: str) -> bool:
    return len(name) == 1 and name.isascii() and name.isalnum()


def _bound(name: str, key: str) -> str:
    """Return the hotkey to write for a class. Label Studio gives a free key to a class without one."""
    if key or len(name) != 1:
        return key
    return f"shift+{name.lower()}" if _is_key(name) else _NO_KEY


def _bound_keys(classes: Sequence[str]) -> list[str]:
    return [_bound(*pair) for pair in zip(classes, hotkeys(classes), strict=True)]


def is_ours(label_config: str) -> bool:
    """Return True if octospoon made this labelling interface, for any classes, and nobody changed it."""
    try:
        classes = [choice.value for choice in parse_interface(label_config).choices]
    except BadRequest:
        return False
    made = {labelling_interface(classes), *_earlier_interfaces(classes)}
    return _canonical(label_config) in {_canonical(interface) for interface in made}


def _earlier_interfaces(classes: Sequence[str]) -> tuple[str, str]:
    """Return the interfaces of earlier releases: the second did not require a choice."""
    names = [name.lower() for name in classes]
    keys = all(_is_key(name) for name in names) and len(set(names)) == len(names)
    earliest = names if keys else [*_DIGITS, *[""] * len(names)][: len(names)]
    return (
        _interface(classes, _bound_keys(classes), _SMALL_IMAGE, _REQUIRED),
        _interface(classes, earliest, _SMALL_IMAGE, _OPTIONAL),
    )


def _canonical(label_config: str) -> str:
    return canonicalize(label_config, strip_text=True)


class LabelStudioSetup:
    """Creates or updates a project, its storage and its webhook."""

    def __init__(self, api: LabelStudioApi) -> None:
        self._api = api

    def project(self, title: str, classes: Sequence[str], *, replace_interface: bool = False) -> int:
        """Create or update the project with this title; return its id.

        A labelling interface that people changed stays as it is.

        Args:
            title: of the project.
            classes: that annotators choose from.
            replace_interface: replace a labelling interface that people changed.
        """
        settings = {
            "title": title,
            "label_config": labelling_interface(classes),
            "sampling": SAMPLING,
            "show_collab_predictions": True,
        }
        title = title.strip()  # as Label Studio does
        project = self._titled(title)
        if project is None:
            return int(self._api.call("POST", "/api/projects", json=settings)["id"])
        path = f"/api/projects/{project['id']}"
        interface = self._api.call("GET", path).get("label_config") or ""
        if not (replace_interface or interface in ("", _EMPTY) or is_ours(interface)):
            LOG.warning(
                "project %d keeps its labelling interface, which was changed by hand; `octospoon doctor` "
                "says what is missing, `octospoon label-studio-project --replace-interface` replaces it",
                project["id"],
            )
            del settings["label_config"]
        self._api.call("PATCH", path, json=settings)
        return int(project["id"])

    def instruct(self, project: int, instruction: str) -> None:
        """Show an instruction, as HTML, to annotators before they label."""
        shown = {"expert_instruction": instruction, "show_instruction": True}
        self._api.call("PATCH", f"/api/projects/{project}", json=shown)

    def order(self, project: int) -> None:
        """Give tasks to annotators in the order of the batches."""
        self._api.call("PATCH", f"/api/projects/{project}", json={"sampling": SAMPLING})

    def storage(self, project: int, access: S3Access) -> None:
        """Let the project read the images bucket. It is never synchronised, which would duplicate tasks."""
        settings = {
            "project": project,
            "title": "octospoon images",
            "bucket": access.bucket,
            "region_name": access.region,
            "s3_endpoint": access.endpoint_url or None,
            "aws_access_key_id": access.access_key,
            "aws_secret_access_key": access.secret_key,
            "presign": access.presign,
            "use_blob_urls": False,
        }
        storage = self._first(f"/api/storages/s3?project={project}", "bucket", access.bucket)
        if storage is None:
            self._api.call("POST", "/api/storages/s3", json=settings)
        else:
            self._api.call("PATCH", f"/api/storages/s3/{storage['id']}", json=settings)

    def webhook(self, project: int, url: str, secret: str) -> None:
        """Create or update the webhook that sends annotation events, with the secret in a header.

        Raises:
            NotConfigured: the secret cannot be sent in a header. Label Studio would lose events silently.
        """
        settings = {
            "url": url,
            "headers": {SECRET_HEADER: header_secret("of the webhook", secret)},
            "actions": list(ACTIONS),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
            "project": project,
        }
        hooks = self._hooks(project)
        ours = [hook for hook in hooks if SECRET_HEADER in (hook.get("headers") or {})]
        for extra in ours[1:]:
            self._api.call("DELETE", f"/api/webhooks/{extra['id']}/")
        if ours:
            self._api.call("PATCH", f"/api/webhooks/{ours[0]['id']}/", json=settings)
        else:
            self._api.call("POST", "/api/webhooks/", json=settings)

    def webhooks(self, project: int) -> list[Webhook]:
        """Return all webhooks of a project. The values of their headers are secret."""
        return [
            Webhook(
                url=hook["url"],
                active=bool(hook["is_active"]),
                payload=bool(hook["send_payload"]),
                every_action=bool(hook["send_for_all_actions"]),
                actions=frozenset(hook.get("actions") or ()),
                headers=hook.get("headers") or {},
            )
            for hook in self._hooks(project)
        ]

    def _hooks(self, project: int) -> list[dict[str, Any]]:
        return self._list(f"/api/webhooks/?project={project}")

    def _titled(self, title: str) -> dict[str, Any] | None:
        """Return the project with exactly this title. Label Studio lists every title that contains it."""
        asked: dict[str, Any] = {"title": title, "page_size": _PAGE, "page": 1}
        while True:
            answer = self._api.call("GET", "/api/projects", params=asked)
            for project in answer["results"]:
                if project["title"] == title:
                    return dict(project)
            if not answer.get("next"):
                return None
            asked["page"] += 1

    def _first(self, path: str, name: str, value: str) -> dict[str, Any] | None:
        return next((item for item in self._list(path) if item.get(name) == value), None)

    def _list(self, path: str) -> list[dict[str, Any]]:
        answer = self._api.call("GET", path)
        return list(answer["results"] if isinstance(answer, dict) else answer)
