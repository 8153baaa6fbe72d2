"""A stats writer that was installed by pip, and a run on a cluster that was started afterwards."""

from __future__ import annotations

import pytest
from e2e.terminal import Terminal
from stats_kit import install_example


@pytest.mark.slow
def test_a_run_of_the_cluster_tells_it_what_was_logged(terminal: Terminal, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(install_example(tmp_path)))
    terminal.workspace.home.mkdir(exist_ok=True)
    terminal.workspace.settings.write_text("summary_steps = 50\n")
    assert "summary_table of summary-table 1.0.0" in terminal.arena("doctor").out
    [run] = terminal.ask("run", terminal.write("count.yaml"))["runs"]
    table = (terminal.workspace.run(run["name"]).root / "summaries.csv").read_text().splitlines()
    told = [row.split(",")[:3] for row in table]
    assert [row for row in told if row[1] == "losses/weight"] == [
        [str(step), "losses/weight", "50"] for step in (50, 100, 150, 199)
    ]
    lines = terminal.arena("logs", run["name"]).out.splitlines()
    assert [line.partition(". ")[0] for line in lines if "Mean Reward: " in line] == [
        f"Step: {step}" for step in (50, 100, 150, 199)
    ]
