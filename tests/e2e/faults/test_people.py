"""Annotators who come and go, on the real Label Studio."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from e2e.faults.test_between_two_steps import exported
from e2e.faults.test_interface import collected

from octospoon.adapters.label_studio.choices import choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def signed_up(lab: Lab, client: httpx.Client, email: str) -> int:
    """Join by the invitation link, as a new colleague does; return the number of the account."""
    link = lab.api.call("GET", "/api/invite")["invite_url"]
    token = _TOKEN.search(client.get(link).text)
    assert token
    form = {"csrfmiddlewaretoken": token[1], "email": email, "password": f"Secret-{email}"}
    client.post(link, data=form, headers={"Referer": lab.api.url})
    client.headers.update({"X-CSRFToken": client.cookies["csrftoken"], "Referer": lab.api.url})
    return int(client.get("/api/current-user/whoami").raise_for_status().json()["id"])


def test_annotations_of_deleted_accounts_stay_votes_of_their_own(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    lab.api.call("PATCH", f"/api/projects/{lab.project}", json={"maximum_annotations": 3})
    key, task = next(iter(exported(lab, 2).items()))
    with ExitStack() as clients:
        people = [
            clients.enter_context(httpx.Client(base_url=lab.api.url, follow_redirects=True, timeout=30))
            for _ in range(3)
        ]
        accounts = [
            signed_up(lab, client, f"{number}-{lab.project}@example.org")
            for number, client in enumerate(people)
        ]
        for client, label in zip(people, ("dog", "cat", "cat"), strict=True):
            body = {"result": [choice(label)], "lead_time": 1.0}
            client.post(f"/api/tasks/{task}/annotations/", json=body).raise_for_status()
    collected(lab)
    for account in accounts[1:]:
        lab.api.call("DELETE", f"/api/users/{account}/")
    owners = [
        annotation["completed_by"] for annotation in lab.api.call("GET", f"/api/tasks/{task}/annotations/")
    ]
    assert owners.count(None) == 2

    status, _ = lab.invoke("reconcile", {"full": True})

    assert status == 0, lab.host.log.read_text()[-3000:]
    standing = lab.labels.label_state(key)
    assert standing is not None
    assert (standing.label, standing.annotators) == ("cat", 3)
