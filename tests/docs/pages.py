"""The pages of the project as what a reader finds in them: headings, links, tables, examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A fenced block."""

    language: str
    text: str
    place: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def examples(self, *languages: str) -> list[Example]:
        found = [
            Example(match[1], match[2], f"{self}:{self.text.count(chr(10), 0, match.start()) + 1}")
            for match in _FENCE.finditer(self.text)
        ]
        return [each for each in found if not languages or each.language in languages]

    def links(self) -> list[str]:
        return re.findall(r"\[[^]]*\]\(([^)\s]+)\)", self.prose)

    def anchors(self) -> set[str]:
        """Return what links to this page may end with, as GitHub makes it of headings."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in _HEADING.findall(self.prose)}

    def titles(self, level: int) -> list[str]:
        return [title for marks, title in _HEADING.findall(self.prose) if len(marks) == level]

    def section(self, title: str) -> str:
        """Return what stands under the heading *title*, up to the next heading of its level or a higher one."""
        begin = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert begin, f"{self} has no heading {title!r}"
        end = re.compile(rf"^#{{1,{len(begin[1])}}} ", re.MULTILINE).search(self.text, begin.end())
        return self.text[begin.end() : end.start() if end else None]


def page(name: str) -> Page:
    """Return the page at docs/*name*."""
    return Page(ROOT / "docs" / name)


def all_pages() -> list[Page]:
    paths = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("runners/**/*.md"),
        *ROOT.glob("tests/data/*.md"),
    ]
    return [Page(path) for path in sorted(paths)]


def table(text: str) -> list[list[str]]:
    """Return the rows of the tables in *text*, without their heads."""
    found: list[list[str]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        found += rows[2:]
    return found


def code(cell: str) -> str:
    """Return what a table's cell holds between its backquotes."""
    found = re.fullmatch(r"`([^`]*)`", cell)
    assert found, f"{cell!r} is to stand between backquotes"
    return found[1]


def codes(text: str) -> list[str]:
    """Return everything in *text* that stands between backquotes."""
    return re.findall(r"`([^`\n]+)`", text)
