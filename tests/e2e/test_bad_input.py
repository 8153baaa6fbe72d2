"""Mistakes in what people write: one line that says what is wrong and what to do, before anything starts."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.terminal import Terminal

TYPO = "seeed"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({TYPO: 1}, "bad.yaml:9: 'seeed' is not a key here; did you mean 'seed'?"),
    "a missing key": ({"env_id": None}, "'env_id' is missing"),
    "an unknown runner": ({"runner": "clenrl"}, "no runner 'clenrl'; did you mean 'cleanrl'?"),
    "a script that is not there": ({"script": "pppo"}, "no script 'pppo': not a file, and runner 'cleanrl' ships none"),
    "a script that is not Python": ({"script": "broken.py"}, "broken.py:1: not valid Python: '(' was never closed"),
    "an unknown flag": (
        {"flags": {"total_timestep": 9}},
        "counter.py has no such flag; did you mean 'total_timesteps'",
    ),
    "a flag of another type": ({"flags": {"sleep_s": "long"}}, "flags.sleep_s: counter.py takes float, not 'long'"),
    "an unknown hyperparameter": (
        {"script": "ppo", "flags": None, "hyperparameters": {"learning_rat": 1e-3}},
        "hyperparameters.learning_rat: ppo has no such flag; did you mean 'learning_rate'?",
    ),
    "a flag without effect": ({"script": "ppo", "flags": {"batch_size": 64}}, "flags.batch_size: it has no effect"),
    "CUDA without a GPU": ({"script": "on_cuda.py", "flags": None}, "on_cuda.py requires CUDA"),
}
SCRIPTS = {
    "broken.py": "model = (\n",
    "on_cuda.py": "import torch\ndevice = torch.device('cuda')\nfor step in range(9):\n    model.train(step, device)\n",
}


def refuse(terminal: Terminal, *words: str) -> str:
    """Return the one line with which ``arena run`` refuses; it has started and recorded nothing."""
    finished = terminal.arena("run", *words)
    assert (finished.code, finished.out) == (1, "")
    [line] = finished.err.splitlines()
    assert line.startswith("error: ")
    assert not terminal.workspace.home.exists(), "where a cluster would be written down before it starts"
    return line


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_the_file_is_told_in_one_line(terminal: Terminal, mistake: str) -> None:
    for name, text in SCRIPTS.items():
        (terminal.directory / name).write_text(text)
    keys, told = WRONG[mistake]
    assert told in refuse(terminal, terminal.write("bad.yaml", **keys))


def test_a_file_that_is_not_there_is_told_in_one_line(terminal: Terminal) -> None:
    assert "no experiment file nowhere.yaml" in refuse(terminal, "nowhere.yaml")


def test_a_file_that_is_not_yaml_is_told_with_its_line(terminal: Terminal) -> None:
    (terminal.directory / "torn.yaml").write_text("experiment: torn\nflags: {a: 1\n")
    assert "torn.yaml:3: not valid YAML" in refuse(terminal, "torn.yaml")


def test_a_mistake_on_the_command_line_is_told_in_one_line(terminal: Terminal) -> None:
    file = terminal.write("good.yaml")
    assert "did you mean 'total_timesteps'?" in refuse(terminal, file, "--set", "flags.total_timestep=5")
