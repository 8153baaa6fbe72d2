"""A run takes over another one's weights in its running process, and goes on as that one would have."""

from __future__ import annotations

import math
import os
import signal
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from holding import World, finish, held, open_world, until

from arena_ray.model.events import EpisodeSummary
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Milestone, Run
from arena_ray.model.states import AttemptOutcome, ExploitOutcome, RunState
from arena_ray.runner import takeover
from arena_ray.scheduling.supervision import Supervision
from arena_ray.telemetry.archive import live_events

EPISODES = 20
TRAINED = 24_576
"""Steps after which ppo balances the pole for more than a hundred steps; it begins with about twenty."""
PART = 1024


def returns(world: World, run: Run, *, since: int = 0) -> list[float]:
    """Return the returns of the episodes that ended after step *since*, oldest first."""
    events = (event for _, event in live_events(world.workspace.run(run.name).metrics))
    return [one.episodic_return for one in events if isinstance(one, EpisodeSummary) and one.global_step > since]


def play(world: World, actor: Supervision, run: Run, *, since: int) -> list[float]:
    """Let the run go on until it has ended as many episodes as are compared, and return their returns."""

    def has_played(progress: Any) -> bool:
        if progress.milestone is not None:
            actor.decide(None)
        return len(returns(world, run, since=since)) >= EPISODES

    until(actor, has_played)
    return returns(world, run, since=since)[:EPISODES]


def weights_at(world: World, reached: Milestone) -> str:
    checkpoint = world.store.get_checkpoint(reached.checkpoint_id)
    assert checkpoint is not None
    return checkpoint.policy_digest


def test_a_frozen_clone_plays_as_well_as_its_donor(tmp_path: Path) -> None:
    """Both go on with learning rate 0 and the same weights, each in environments of its own.

    The bound is three standard errors of the difference of the two means: two samples of one policy are further apart
    once in some 300 times (and with these seeds never), a clone with weights of its own is so by far.
    """
    with open_world(Workspace(tmp_path), "ppo", interval=PART, total_timesteps=200_000) as world:
        donor, clone = world.add(0, 1e-3), world.add(1, 0.0)
        giving, taking = world.supervise(donor, interval=TRAINED), world.supervise(clone)
        own, best = held(taking), held(giving)
        assert own.score < best.score / 3, "nothing could be seen"
        assert weights_at(world, own) != weights_at(world, best)

        taking.decide(world.commit(own, best, rate=0.0))
        giving.decide(world.commit(best, best, rate=0.0))
        theirs = play(world, giving, donor, since=best.global_step)
        ours = play(world, taking, clone, since=own.global_step)
        error = math.hypot(*(statistics.stdev(each) / math.sqrt(EPISODES) for each in (ours, theirs)))
        assert abs(statistics.mean(ours) - statistics.mean(theirs)) <= 3 * error
        assert statistics.mean(ours) - own.score > 3 * error

        later = until(taking, lambda progress: progress.milestone).milestone
        assert later.generation == 1
        assert weights_at(world, later) == weights_at(world, best), "bit by bit"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Runs of line.py under the harness, as test_holds has them under what stands in for it."""
    workspace = Workspace(tmp_path_factory.mktemp("line"))
    with open_world(workspace, "line.py", interval=20, total_timesteps=50, sleep_s=0) as world:
        yield world


@pytest.fixture(scope="module")
def donor(line: World) -> Milestone:
    return held(line.supervise(line.add(0, 0.05)))


def test_a_training_killed_between_weights_and_hyperparameters_takes_both_in_its_next_attempt(
    line: World, donor: Milestone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = line.add(1, 0.001)
    actor = line.supervise(clone)
    ask = takeover._ask

    def kill_when_loaded(process: Any, command: str, **keys: Any) -> Any:
        answer = ask(process, command, **keys)
        if command == "load" and actor.progress().attempt == 1:
            os.kill(process.pid, signal.SIGKILL)
        return answer

    monkeypatch.setattr(takeover, "_ask", kill_when_loaded)
    actor.decide(line.commit(held(actor), donor))
    assert finish(actor) is RunState.COMPLETED
    assert line.outcomes(clone) == [AttemptOutcome.LOST, AttemptOutcome.COMPLETED]
    [exploit] = line.exploits(clone.run_id)
    assert exploit.outcome is ExploitOutcome.APPLIED
    rates = dict(line.points(clone, "charts/learning_rate"))
    assert [rates[step] for step in (19, 20, 49)] == pytest.approx([0.001, 0.04, 0.04])
    weights = dict(line.points(clone))
    given = dict(line.points(line.store.require_run(donor.run_id)))[19]
    assert weights[20] == pytest.approx(given + 0.08 * (3.0 - given), abs=1e-4)


def test_a_donor_of_another_shape_is_refused_and_the_run_goes_on(line: World, donor: Milestone) -> None:
    clone = line.add(2, 0.001)
    actor = line.supervise(clone)
    wide = line.supervise(line.add(0, 0.05, execution_id=line.begin("wide", width=2)))
    actor.decide(line.commit(held(actor), held(wide)))
    assert finish(actor) is RunState.COMPLETED
    [exploit] = line.exploits(clone.run_id)
    assert exploit.outcome is ExploitOutcome.FAILED
    assert "agent.weight is float32[1, 2] there and float32[1, 1] here" in (exploit.reason or "")
    weights = dict(line.points(clone))
    assert weights[20] == pytest.approx(weights[19] + 0.002 * (3.0 - weights[19]), abs=1e-4)
