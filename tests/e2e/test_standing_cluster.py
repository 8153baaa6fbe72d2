"""A cluster that stays up: watched, left and steered from one command after the other."""

from __future__ import annotations

from typing import Any

import pytest
from cluster_kit import RAISED
from e2e.terminal import Terminal, interrupt, wait_until_it_watches


@pytest.fixture(scope="module")
def gateway(terminal: Terminal) -> dict[str, Any]:
    """What ``arena up`` says of the cluster that it started."""
    return terminal.ask("up", "--num-cpus", "2", "--num-gpus", "1")


def refuse(terminal: Terminal, **keys: Any) -> str:
    """Return the one line with which the cluster refuses an experiment, of which it records nothing."""
    finished = terminal.arena("run", terminal.write("bad.yaml", experiment="bad", **keys))
    assert finished.code == 1
    [line] = finished.err.splitlines()
    assert terminal.run_of("bad") is None
    assert "bad" not in [experiment["name"] for experiment in terminal.ask("experiments")]
    return line


def test_up_says_where_it_listens_and_starts_no_second_one(terminal: Terminal, gateway: dict[str, Any]) -> None:
    assert gateway["started"]
    again = terminal.ask("up")
    assert not again["started"]
    assert again["url"] == gateway["url"]
    assert "token" not in gateway


def test_status_shows_the_node_and_the_runs(terminal: Terminal, gateway: dict[str, Any]) -> None:
    status = terminal.ask("status")
    [node] = status["nodes"]
    assert (node["cpu"], node["gpu"], node["is_head"], node["is_alive"]) == (2, 1, True, True)
    assert status["gateway"]["url"] == gateway["url"]


def test_a_detached_run_goes_on_whoever_watches_until_it_is_stopped(
    terminal: Terminal, gateway: dict[str, Any]
) -> None:
    file = terminal.write("long.yaml", experiment="long", flags={"total_timesteps": 100_000})
    detached = terminal.arena("run", file, "--detach")
    assert detached.code == 0
    assert "follow it with 'arena logs" in detached.out
    watching = terminal.begin("run", file)
    wait_until_it_watches(watching)
    terminal.wait_for_run("long", lambda run: run.global_step > 50, "a run at work")
    left = interrupt(watching)
    assert left.code == 130
    assert "goes on without being watched" in left.err
    before = terminal.run_of("long")
    terminal.wait_for_run("long", lambda run: run.global_step > before.global_step, "a run that goes on")
    stopped = terminal.arena("stop", "long")
    assert (stopped.code, stopped.out) == (0, f"{before.name}: stopping at its next boundary\n")
    ended = terminal.wait_for_run("long", lambda run: run.state.is_final, "the end")
    assert (ended.state, ended.reason, ended.attempt) == ("stopped", "stopped by the user", 1)


def test_a_script_that_raises_fails_with_its_last_words(terminal: Terminal, gateway: dict[str, Any]) -> None:
    file = terminal.write("raises.yaml", experiment="raises", flags={"raise_at": 7})
    finished = terminal.arena("run", file)
    assert finished.code == 1
    run = terminal.run_of("raises")
    assert (run.state, run.attempt) == ("failed", 1)
    first, *rest = run.reason.splitlines()
    assert first == RAISED
    assert rest[0].startswith("Traceback")
    assert rest[-1] == "ValueError: this pass was to raise"
    assert run.name in finished.out
    assert first in finished.out


def test_an_unknown_environment_is_refused_with_the_nearest_one(terminal: Terminal, gateway: dict[str, Any]) -> None:
    refused = refuse(terminal, script="ppo", flags=None, env_id="Cartpole-v1")
    assert refused.startswith("error: environment 'Cartpole-v1' cannot be made")
    assert "did you mean 'CartPole-v1'" in refused


def test_what_no_node_has_is_refused_with_what_there_is(terminal: Terminal, gateway: dict[str, Any]) -> None:
    refused = refuse(terminal, resources={"cpu": 1, "gpu": 3})
    assert refused.startswith("error: no node can ever give cpu 1, gpu 3; the cluster has node ")
    assert "cpu 2, gpu 1" in refused


DROPPED = """
from .core import register_plugin

@register_plugin(name="twice", scope="experiment", description="train twice",
                 settings_schema={"passes": {"type": "int", "default": 30, "min": 1}})
def twice(context, api):
    runs = [api.create_run({"total_timesteps": context.settings["passes"]}, seed=seed) for seed in (1, 2)]
    api.add_note(f"📊 {sorted(set(api.wait_for_completion(runs).values()))}")
"""


def test_a_plugin_is_dropped_in_run_and_taken_away_while_the_cluster_is_up(
    terminal: Terminal, gateway: dict[str, Any]
) -> None:
    file = terminal.write("plugged.yaml", experiment="plugged", flags=None)
    terminal.workspace.plugins.mkdir(parents=True)
    dropped = terminal.workspace.plugins / "twice_plugin.py"
    dropped.write_text(DROPPED)
    assert terminal.ask("plugins", "show", "twice")["origin"] == str(dropped)
    finished = terminal.arena("plugins", "run", "twice", "--spec", file, "--set", "passes=40")
    assert finished.code == 0, finished.err
    assert "📊 ['completed']" in finished.out
    assert [run["global_step"] for run in terminal.ask("runs", "--experiment", "plugged")] == [39, 39]
    assert [run["seed"] for run in terminal.ask("runs", "--experiment", "plugged")] == [1, 2]
    dropped.unlink()
    refused = terminal.arena("plugins", "run", "twice", "--experiment", "plugged")
    assert refused.code == 1
    assert "no plugin 'twice'" in refused.err


def test_down_ends_everything(terminal: Terminal, gateway: dict[str, Any]) -> None:
    finished = terminal.arena("down")
    assert (finished.code, finished.out) == (0, "the cluster is down\n")
    assert terminal.processes() == []
    assert terminal.scratch() == []
    assert terminal.ask("status")["gateway"] is None
    assert "no cluster is up" in terminal.arena("down").out
    assert "no cluster is up" in terminal.arena("stop", "long").err
