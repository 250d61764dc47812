"""Reads the instruction that annotators see before they label, and shows it to them."""

from __future__ import annotations

from contextlib import closing
from html import escape
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.deployment import Deployment

_HTML = (".html", ".htm")
_LONGEST = 100_000


def read_instruction(path: Path) -> str:
    """Return an instruction as HTML for Label Studio.

    An HTML file stays as it is. Any other file is plain text: an empty line begins a new paragraph, and the
    line breaks stay.

    Args:
        path: of the file, in UTF-8.

    Raises:
        BadRequest: the file cannot be read, is no text, is empty, or is longer than 100,000 characters.
    """
    try:
        text = path.read_text("utf-8-sig").strip()
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not a text file in UTF-8: save it as UTF-8 text or HTML") from error
    if not text:
        raise BadRequest(f"{path} is empty: write what annotators must know, as text or HTML")
    if len(text) > _LONGEST:
        raise BadRequest(f"{path} has {len(text):,} characters, at most {_LONGEST:,} are allowed")
    if path.suffix.lower() in _HTML:
        return text
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    return "".join(f"<p>{escape(part).replace(chr(10), '<br>')}</p>" for part in paragraphs)


def instruct(deployment: Deployment, instruction: str) -> None:
    """Show an instruction, as HTML, on the labelling page of a deployment."""
    with closing(deployment.label_studio()) as api:
        LabelStudioSetup(api).instruct(deployment.label_studio_project, instruction)
