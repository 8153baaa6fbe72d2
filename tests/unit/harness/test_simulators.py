"""Environments of MuJoCo and ALE are pickled with the state of their simulator."""

from __future__ import annotations

import io

import ale_py
import gymnasium as gym
import mujoco
import numpy as np
import pytest
from unit.harness.environments import played, state_of

from arena_ray.harness import pickling, repetition
from arena_ray.harness.fingerprints import Fingerprints

gym.register_envs(ale_py)


def copy_of(env):
    """Return *env* as a checkpoint would bring it back."""
    state = state_of(env=env)
    file = io.BytesIO()
    pickler = pickling.make_pickler(file, state.live_map)
    pickler.dump(env)
    assert pickler.notes == []
    file.seek(0)
    return pickling.Unpickler(file, {}, None, None).load()


def course(env, actions):
    return [Fingerprints().of(list(env.step(action))) for action in actions]


# Ant's and Humanoid's rewards are computed from what the last step has left behind, not only from the state.
@pytest.mark.parametrize("env_id", ["Hopper-v5", "Ant-v5", "Humanoid-v5", "ALE/Breakout-v5"])
def test_a_restored_environment_goes_on_like_the_one_that_was_saved(env_id):
    env = played(gym.make(env_id), steps=15)
    again = copy_of(env)
    actions = [env.action_space.sample() for _ in range(64)]
    assert course(again, actions) == course(env, actions)
    assert repetition.unrepeated(state_of(env=again)) == []


def test_the_whole_state_of_mujoco_comes_back():
    env = played(gym.make("Hopper-v5"), steps=15).unwrapped
    again = copy_of(env)
    whole = mujoco.mjtState.mjSTATE_INTEGRATION

    def state(one):
        values = np.empty(mujoco.mj_stateSize(one.model, whole))
        mujoco.mj_getState(one.model, one.data, values, whole)
        return values.tobytes()

    assert state(again) == state(env)
    assert again.mujoco_renderer.data is again.data
    assert again.np_random.bit_generator.state == env.np_random.bit_generator.state


def test_the_generator_of_an_atari_machine_comes_back():
    env = played(gym.make("ALE/Breakout-v5"), steps=15).unwrapped  # its actions stick now and then, by chance
    again = copy_of(env)
    assert again.ale.cloneState(include_rng=True).equals(env.ale.cloneState(include_rng=True))
    assert again.ale is not env.ale


def test_open_windows_of_mujoco_do_not_keep_an_environment_from_being_saved():
    env = played(gym.make("Hopper-v5"), steps=5).unwrapped
    env.mujoco_renderer._viewers["human"] = env.mujoco_renderer.viewer = (turn for turn in range(3))
    again = copy_of(env)
    assert (again.mujoco_renderer.viewer, again.mujoco_renderer._viewers) == (None, {})
    assert env.mujoco_renderer._viewers != {}
