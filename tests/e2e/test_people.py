"""An invitation and an instruction for further people in Label Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets import digits
from octospoon.cli.local.assemble import TITLE
from octospoon.cli.operations.invitation import invitation

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack


def test_only_the_invitation_lets_another_person_sign_up(stack: LocalStack) -> None:
    address = invitation(stack.deployment)

    assert signed_up(address) == 200  # the form is read: it lacks an address and a password
    assert signed_up(address.partition("?")[0]) == 403


def signed_up(address: str) -> int:
    """Return the status of an empty form that is sent to the sign-up page."""
    with httpx.Client() as browser:
        page = browser.get(address)
        assert 'name="password"' in page.text
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        return browser.post(address, data=form, headers={"Referer": address}).status_code


def test_the_instruction_is_shown_until_another_is_given(stack: LocalStack) -> None:
    setup, project = LabelStudioSetup(stack.label_studio), stack.project.label_studio_project
    path = f"/api/projects/{project}"
    try:
        setup.instruct(project, "<p>A seven may have a bar &amp; a foot.</p>")
        setup.project(TITLE, digits.CLASSES, SingleChoice())
        settings = stack.label_studio.call("GET", path)
    finally:
        stack.label_studio.call("PATCH", path, json={"expert_instruction": "", "show_instruction": False})

    assert settings["expert_instruction"] == "<p>A seven may have a bar &amp; a foot.</p>"
    assert settings["show_instruction"] is True
