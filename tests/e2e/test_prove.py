from __future__ import annotations

import json

from e2e.terminal import Terminal


def test_a_training_is_killed_and_it_is_proved_that_nothing_was_lost(terminal: Terminal) -> None:
    flags = {"total_timesteps": 40_000}
    file = terminal.write("ppo.yaml", experiment="show", script="ppo", flags=flags, checkpoint={"every_s": 1})
    finished = terminal.arena("prove", file, "--json")
    assert finished.code == 0, finished.err
    assert "with SIGKILL" in finished.err
    told = json.loads(finished.out)
    assert told["is_equal"] is True
    assert len(set(told["policy_digests"])) == 1
    assert [(run["experiment"], run["state"], run["attempt"]) for run in told["runs"]] == [
        ("show", "completed", 2),
        ("show-uninterrupted", "completed", 1),
    ]
    assert terminal.processes() == []
