"""docs/reference/plugin-api.md and testing.md say what the docstrings say; their example works.

`PYTHONPATH=tests python -m docs.make_plugin_pages` writes them anew.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from docs.make_plugin_pages import PAGES, read_docstring, up_to_date
from docs.pages import page

from arena_ray.testing import Training


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == up_to_date(path)


def test_all_that_a_training_holds_is_told() -> None:
    assert [name for name, _ in read_docstring(Training).arguments] == [each.name for each in fields(Training)]


def test_the_test_that_the_page_shows_passes() -> None:
    [example] = page("reference/testing.md").examples("python")
    names: dict[str, Any] = {}
    exec(example.text, names)
    names["test_it_returns_the_best_reward"]()
    contract = names["TestContract"]()
    contract.test_it_asks_for_the_same_when_its_process_is_started_anew()
    contract.test_it_can_be_stopped_at_any_call()
