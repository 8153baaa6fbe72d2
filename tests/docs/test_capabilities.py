"""docs/reference/capabilities.md says of the shipped scripts what their reports say.

`PYTHONPATH=tests python -m docs.make_capabilities` writes it anew.
"""

from __future__ import annotations

import pytest
from docs.make_capabilities import PAGE, reports, section, static_part
from docs.pages import code, page, table

from arena_ray.harness import repetition
from arena_ray.runner import probe

CAPABILITIES = page("reference/capabilities.md")


def test_what_the_sources_tell_is_up_to_date() -> None:
    found = reports(probe=False)
    told = table(CAPABILITIES.section("Shipped scripts").partition("\n### ")[0])
    assert [code(row[0]) for row in told] == [one.script for one in found]
    assert [code(row[2]) for row in told] == [one.needs.env_id for one in found]
    for one in found:
        assert CAPABILITIES.section(f"`{one.script}`").strip() == static_part(one).strip()


@pytest.mark.slow
def test_what_the_probes_show_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(section(reports(probe=True)))


def test_the_numbers_of_the_probe_are_those_of_the_code() -> None:
    told = CAPABILITIES.section("The probe")
    assert f"at least {probe._STEPS} steps" in told
    assert f"the next {repetition.STEPS} steps" in told
    for flag in probe._SHORTENED:
        assert f"`{flag}`" in told
