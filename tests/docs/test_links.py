"""Whoever follows a link arrives; every page can be found."""

from __future__ import annotations

import pytest
from docs.pages import ROOT, Page, all_pages

PAGES = all_pages()


def targets(page: Page) -> list[tuple[Page, str]]:
    """Return file and anchor of each link that leads to a file."""
    found = []
    for link in page.links():
        if "://" not in link:
            path, _, anchor = link.partition("#")
            found.append((Page((page.path.parent / path).resolve() if path else page.path), anchor))
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_each_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    for target, anchor in targets(page):
        assert target.path.is_file(), f"{page} links to {target.path}"
        assert target.path.is_relative_to(ROOT)
        assert not anchor or anchor in target.anchors(), f"{page} links to #{anchor} of {target}"


def test_each_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [Page(ROOT / "README.md")]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            waiting += [target for target, _ in targets(page) if target.path.suffix == ".md"]
    assert set(PAGES) - seen == set()


def test_a_table_has_as_many_cells_in_each_row() -> None:
    for page in PAGES:
        widths: dict[int, int] = {}
        lines = page.prose.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("|"):
                cells = line.count("|") - line.count("\\|")
                widths[number] = cells
                assert widths.get(number - 1, cells) == cells, f"{page}: {line}"
