"""What people other than the first meet in Label Studio: an invitation and an instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.datasets import digits
from octospoon.cli.local.assemble import TITLE
from octospoon.cli.operations.invitation import invitation

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack


def test_only_the_invitation_lets_another_person_sign_up(stack: LocalStack) -> None:
    address = invitation(stack.deployment)

    invited, uninvited = httpx.get(address), httpx.get(address.partition("?")[0])

    assert invited.status_code == 200
    assert 'name="password"' in invited.text
    assert uninvited.status_code == 403


def test_the_instruction_is_shown_until_another_is_given(stack: LocalStack) -> None:
    setup, project = LabelStudioSetup(stack.label_studio), stack.project.label_studio_project
    path = f"/api/projects/{project}"
    try:
        setup.instruct(project, "<p>A seven may have a bar &amp; a foot.</p>")
        setup.project(TITLE, digits.CLASSES)
        settings = stack.label_studio.call("GET", path)
    finally:
        stack.label_studio.call("PATCH", path, json={"expert_instruction": "", "show_instruction": False})

    assert settings["expert_instruction"] == "<p>A seven may have a bar &amp; a foot.</p>"
    assert settings["show_instruction"] is True
