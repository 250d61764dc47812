"""Hooks of MkDocs: generated reference pages, and diagrams that need no network.

A page says `<!-- generated: NAME -->` where `make docs` puts the file `.octospoon/docs/NAME.md`, which
`tools/reference.py` writes from the code and the template.
"""

from __future__ import annotations

import re
from importlib.resources import files as package_files
from pathlib import Path
from typing import TYPE_CHECKING

import mermaidx
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from mkdocs.utils import get_relative_url

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

GENERATED = Path(__file__).parents[1] / ".octospoon" / "docs"
SCRIPT = "assets/javascripts/mermaid.js"
_MARKER = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add Mermaid's script, which the theme would otherwise load from another host."""
    script = package_files(mermaidx) / "assets" / "mermaid.js"
    files.append(File.generated(config, SCRIPT, content=script.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Insert the generated parts of a page, and check its diagrams.

    Raises:
        PluginError: a part was not generated, or Mermaid cannot draw a diagram.
    """
    for diagram in _DIAGRAM.findall(markdown):
        try:
            mermaidx.render(diagram).svg()
        except Exception as error:
            raise PluginError(f"{page.file.src_uri}: Mermaid cannot draw a diagram: {error}") from error
    return _MARKER.sub(lambda marker: _generated(marker[1], page), markdown)


def _generated(name: str, page: Page) -> str:
    path = GENERATED / f"{name}.md"
    if not path.exists():
        raise PluginError(f"{page.file.src_uri} wants {path}, which `make docs` generates")
    return path.read_text("utf-8")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Load Mermaid's script on the pages with a diagram; it is large."""
    if 'class="mermaid"' not in html:
        return html
    return f'{html}<script src="{get_relative_url(SCRIPT, page.url)}"></script>'
