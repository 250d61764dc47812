"""Measure how long the sentences of README.md and docs/ are.

    python -m tools.sentences [FILE…]

What counts: the prose of paragraphs and lists. A list item is at least one sentence. Code blocks, tables,
headings, comments, images and generated parts are left out. So are the decision records, which keep the
words of their time. A code span, such as `octospoon status`, counts as one word. A link counts with its text
alone. A colon or semicolon ends no sentence.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1 *$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NO_PROSE = re.compile(r"^ *(\||#|!!!|\?\?\?|===|:::|!\[|options:|<)")
_ITEM = re.compile(r"^ *([-*]|\d+\.) +")
_LINK = re.compile(r"!?\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?(\{[^}]*\})?")
_CODE = re.compile(r"`[^`]+`")
_END = re.compile(r"(?<=[.!?])[\"”)*]*\s+(?=[\"“(*]*[A-Z0-9]|code|octospoon)")


@dataclass(frozen=True)
class Lengths:
    """The words of each sentence of a text."""

    words: list[int]

    @property
    def median(self) -> float:
        """Return the median, 0 without a sentence."""
        return median(self.words) if self.words else 0.0

    @property
    def p95(self) -> float:
        """Return the 95th percentile, 0 without a sentence."""
        if len(self.words) < 2:
            return float(max(self.words, default=0))
        return quantiles(self.words, n=20, method="inclusive")[-1]


def documents() -> list[Path]:
    """Return the documents that are measured."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if path.parent.name != "adr"]


def sentences(markdown: str) -> list[str]:
    """Return the sentences of a document's prose, without its marks."""
    text = _COMMENT.sub("", _FENCE.sub("\n", markdown))
    return [sentence for block in _blocks(text) for sentence in _split(block)]


def _blocks(text: str) -> Iterator[str]:
    """Yield every paragraph and every list item, in one line."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        if item or not line.strip() or _NO_PROSE.match(line):
            if lines:
                yield " ".join(lines)
            lines = [line[item.end() :].strip()] if item else []
        else:
            lines.append(line.strip())
    if lines:
        yield " ".join(lines)


def _split(block: str) -> list[str]:
    plain = _LINK.sub(r"\1", _CODE.sub("code", block)).replace("**", "")
    return [sentence for sentence in _END.split(plain) if re.search(r"\w", sentence)]


def lengths(markdown: str) -> Lengths:
    """Return the number of words of each sentence of a document."""
    return Lengths([len(re.findall(r"\S*\w\S*", sentence)) for sentence in sentences(markdown)])


def main(paths: Sequence[Path]) -> None:
    """Print each document's figures, and those of all documents together."""
    together: list[int] = []
    print("sentences  median   p95   max  document")
    for path in paths:
        measured = lengths(path.read_text("utf-8"))
        together += measured.words
        _line(measured, path.resolve().relative_to(ROOT).as_posix())
    _line(Lengths(together), "all of them")


def _line(measured: Lengths, name: str) -> None:
    most = max(measured.words, default=0)
    print(f"{len(measured.words):9}  {measured.median:6.1f}  {measured.p95:4.0f}  {most:4}  {name}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or documents())
