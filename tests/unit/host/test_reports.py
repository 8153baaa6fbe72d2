"""Where reports of plugins go, and where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena_ray.host.reports import save_report
from arena_ray.model.errors import PluginMistake


def test_a_report_replaces_the_former_one_of_its_name(tmp_path: Path) -> None:
    for text in ("first", "second ✅"):
        path = save_report(tmp_path / "x", "analysis", text, {"curve.png": b"\x89PNG"})
    assert Path(path).read_text(encoding="utf-8") == "second ✅"
    assert sorted(each.name for each in (tmp_path / "x").iterdir()) == ["analysis.md", "curve.png"]


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 81, "a\0b"])
def test_a_name_that_would_lead_elsewhere_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginMistake, match="no name for a report"):
        save_report(tmp_path, name, "text", {})
    with pytest.raises(PluginMistake, match="no name for a report"):
        save_report(tmp_path, "fine", "text", {name: b""})
    assert list(tmp_path.iterdir()) == []
