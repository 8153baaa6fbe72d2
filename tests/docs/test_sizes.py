"""What is to be read in a minute stays so short."""

from __future__ import annotations

import re

import pytest
from docs.pages import ROOT, Page

DECISIONS = [Page(path) for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]


@pytest.mark.parametrize("page", DECISIONS, ids=str)
def test_a_decision_fits_on_a_screen_and_says_why(page: Page) -> None:
    assert len(page.text.splitlines()) <= 30
    assert page.titles(2) == ["Context", "Decision", "Consequence"]
    assert page.titles(1)[0].startswith(f"{page.path.name[:4]}: ")


def test_decisions_are_numbered_without_a_gap_and_all_are_listed() -> None:
    assert [page.path.name[:4] for page in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]
    listed = re.findall(r"\(([^)]+\.md)\)", (ROOT / "docs" / "decisions" / "README.md").read_text())
    assert listed == [page.path.name for page in DECISIONS]


def test_contributing_fits_on_a_page() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 60


def test_the_changes_name_the_version_of_the_package() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text()
