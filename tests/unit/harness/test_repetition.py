"""An environment counts as captured only if a copy of it repeats its next 64 steps."""

from __future__ import annotations

import random

import gymnasium as gym
import numpy as np
import pytest
from unit.harness.environments import Elsewhere, Forgetful, Gambling, Walk, Whole, played, state_of

from arena_ray.harness import repetition, rng
from arena_ray.harness.fingerprints import Fingerprints


def reasons(**names):
    return {one["name"]: one["why"] for one in repetition.unrepeated(state_of(**names))}


@pytest.mark.parametrize(
    "env", [Walk(), Whole(), Gambling(), gym.make("CartPole-v1"), gym.make("FrozenLake-v1")], ids=str
)
def test_an_environment_whose_state_is_pickled_repeats_its_steps(env):
    assert reasons(env=played(env)) == {}


def test_an_environment_that_was_never_reset_is_judged_too():
    assert reasons(env=gym.make("CartPole-v1")) == {}


def test_one_that_keeps_only_its_constructor_arguments_is_named():
    why = reasons(env=played(gym.wrappers.RecordEpisodeStatistics(Forgetful())))["env"]
    assert "Forgetful keeps only its constructor arguments" in why


def test_one_whose_state_lies_elsewhere_is_named_with_the_step():
    assert "Elsewhere differs at step 1" in reasons(env=played(Elsewhere()))["env"]


def test_one_that_cannot_be_pickled_is_named_with_the_reason():
    env = played(Walk())
    env.window = (turn for turn in range(3))
    assert "generator" in reasons(env=env)["env"]


def test_one_that_holds_a_writer_is_not_copied():
    env, writer = played(Walk()), Walk()
    env.writer = writer
    [found] = repetition.unrepeated(state_of(fixed=(writer,), env=env, writer=writer))
    assert found == {"name": "env", "why": "it holds writer, of which there can be only one"}


def test_environments_are_found_in_lists_and_vectors_once_each():
    one = played(Walk())
    vector = played(gym.vector.SyncVectorEnv([Walk, Forgetful]))
    state = state_of(env=one, again=one, several=[played(Forgetful())], envs=vector)
    assert [name for name, _ in repetition.environments(state)] == ["env", "several", "envs"]
    assert {one["name"] for one in repetition.unrepeated(state)} == {"several", "envs"}


def test_neither_the_environment_nor_any_generator_is_touched():
    env = played(Gambling())
    random.seed(3), np.random.seed(4)
    before = Fingerprints().of([vars(env), rng.capture()])
    assert reasons(env=env) == {}
    assert Fingerprints().of([vars(env), rng.capture()]) == before


def test_a_copy_records_no_video(tmp_path):
    class RecordVideo(gym.Wrapper):
        def step(self, action):
            (tmp_path / "video").touch()
            return super().step(action)

    env = RecordVideo(Walk())
    env.reset(seed=1)
    assert reasons(env=gym.wrappers.RecordEpisodeStatistics(env)) == {}
    assert list(tmp_path.iterdir()) == []
