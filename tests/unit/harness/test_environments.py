"""What is told of the script's environment: its spaces, and what its wrappers do to observations and actions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from arena_ray.harness.capture import State
from arena_ray.harness.environments import Environment, describe_environment
from arena_ray.harness.policy_source import Unrecognised
from arena_ray.harness.spaces import describe_space

wrappers = gym.wrappers


def clipped(obs: Any) -> Any:
    low = -5
    return np.clip(obs, low, a_max=5)


def described(**variables: Any) -> Environment:
    """Return what is told of the environments that a script holds under these names."""
    values: dict[Any, Any] = {("global", "", name): value for name, value in variables.items()}
    return describe_environment(State(SimpleNamespace(), {}, values, {}, []))  # type: ignore[arg-type]


def pendulum() -> Any:
    return gym.make("Pendulum-v1")


def test_spaces_and_wrappers_are_told_with_infinities_as_text() -> None:
    env = wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))
    description = described(env=env).description
    assert description["env_id"] == "CartPole-v1"
    assert description["wrappers"][:2] == ["RecordEpisodeStatistics", "TimeLimit"]
    assert description["action_space"] == {"space": "discrete", "n": 2, "start": 0}
    box = description["observation_space"]
    assert (box["space"], box["shape"], box["dtype"]) == ("box", [4], "float32")
    assert (box["low"][1], box["high"][3]) == ("-inf", "inf")


def test_equal_bounds_are_one_number_and_another_space_has_only_its_kind() -> None:
    picture = gym.spaces.Box(0, 255, (2, 2, 3), np.uint8)
    assert describe_space(picture) == {"space": "box", "shape": [2, 2, 3], "dtype": "uint8", "low": 0, "high": 255}
    assert describe_space(gym.spaces.MultiBinary(3)) == {"space": "multibinary"}


def test_a_type_that_the_script_put_into_a_space_is_told_by_its_name() -> None:
    space = gym.spaces.Box(-1, 1, (2,), np.float64)
    space.dtype = np.float32
    assert describe_space(space)["dtype"] == "float32"


def test_the_spaces_are_those_inside_the_wrappers_and_the_steps_what_the_wrappers_do() -> None:
    env = wrappers.ClipAction(wrappers.NormalizeObservation(pendulum(), epsilon=1e-3))
    env = wrappers.TransformObservation(env, lambda obs: np.clip(obs, -10, 10), env.observation_space)
    env.reset(seed=1)
    for _ in range(3):
        env.step(np.array([0.5]))
    told = described(envs=env)
    assert told.description["observation_space"]["high"] == [1.0, 1.0, 8.0]
    assert told.description["action_space"]["high"] == 2.0
    normalize, clip = told.observation
    statistics = env.env.env.obs_rms
    assert (normalize["step"], normalize["epsilon"], normalize["dtype"]) == ("normalize", 1e-3, "float32")
    assert np.array_equal(np.asarray(normalize["mean"], np.float32), statistics.mean)
    assert np.array_equal(np.asarray(normalize["var"], np.float32), statistics.var)
    assert clip == {"step": "clip", "low": -10, "high": 10}
    assert told.action == [{"step": "clip", "low": -2.0, "high": 2.0}]


def test_of_environments_side_by_side_the_first_ones_statistics_are_told() -> None:
    envs = gym.vector.SyncVectorEnv([lambda: wrappers.NormalizeObservation(pendulum())] * 2)
    envs.reset(seed=[1, 2])
    [step] = described(envs=envs).observation
    assert np.array_equal(np.asarray(step["mean"], np.float32), envs.envs[0].obs_rms.mean)


def test_statistics_over_all_environments_are_told() -> None:
    envs = gym.wrappers.vector.NormalizeObservation(gym.vector.SyncVectorEnv([pendulum] * 2))
    envs.reset(seed=1)
    [step] = described(envs=envs).observation
    assert np.array_equal(np.asarray(step["mean"], np.float32), envs.obs_rms.mean)


def test_an_environment_that_another_variable_wraps_is_no_other_environment() -> None:
    inner = pendulum()
    outer = wrappers.NormalizeObservation(inner)
    told = described(inner=inner, envs=outer, same=outer)
    assert [step["step"] for step in told.observation] == ["normalize"]
    assert told.names == {"envs", "same"}


@pytest.mark.parametrize(
    ("function", "step"),
    [
        (clipped, {"step": "clip", "low": -5, "high": 5}),
        (lambda obs: obs.clip(-1, 1), {"step": "clip", "low": -1, "high": 1}),
        (lambda obs: np.clip(obs, -1, None), {"step": "clip", "low": -1, "high": "inf"}),
        (lambda obs: (obs / 255.0).astype(np.float32), {"step": "divide", "by": 255.0}),
        (lambda obs: obs - 2, {"step": "shift", "by": -2}),
    ],
)
def test_what_a_function_of_the_script_does_to_observations_is_read(function: Any, step: dict[str, Any]) -> None:
    env = pendulum()
    assert described(env=wrappers.TransformObservation(env, function, env.observation_space)).observation == [step]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: wrappers.FrameStackObservation(env, 2),
        lambda env: wrappers.RescaleAction(env, np.float32(-1), np.float32(1)),
        lambda env: wrappers.TimeAwareObservation(env),
        lambda env: wrappers.TransformAction(env, lambda action: -action, None),
        lambda env: wrappers.TransformObservation(env, np.tanh, None),
        lambda env: wrappers.TransformObservation(env, lambda obs: obs[::-1], None),
        lambda env: wrappers.TransformObservation(env, lambda obs: np.tanh(obs), None),
        lambda env: Own(env),
        lambda env: NormalizeObservation(env),
    ],
)
def test_a_wrapper_whose_work_cannot_be_told_is_refused(wrap: Any) -> None:
    with pytest.raises(Unrecognised, match=r"the wrapper .* may change observations"):
        described(env=wrap(pendulum()))


class Own(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper of the script's own."""


class NormalizeObservation(gym.Wrapper[Any, Any, Any, Any]):
    """Another's wrapper, of a name that is known."""

    def step(self, action: Any) -> Any:
        observation, *rest = self.env.step(action)
        return (observation * 2, *rest)


class Announced(wrappers.NormalizeObservation):  # type: ignore[misc]  # gymnasium is untyped here
    """A known wrapper that is only made in another way."""

    def __init__(self, env: Any) -> None:
        super().__init__(env, epsilon=0.5)


class Changed(Announced):
    """A known wrapper that does something else."""

    def observation(self, observation: Any) -> Any:
        return -super().observation(observation)


def test_a_class_that_only_makes_a_known_wrapper_is_known() -> None:
    [step] = described(env=Announced(pendulum())).observation
    assert step["epsilon"] == 0.5
    with pytest.raises(Unrecognised, match="the wrapper Changed may change"):
        described(env=Changed(pendulum()))


def test_environments_that_differ_are_refused() -> None:
    with pytest.raises(Unrecognised, match="several environments that differ"):
        described(env=pendulum(), test_env=gym.make("CartPole-v1"))


def test_statistics_that_are_not_finite_are_refused() -> None:
    env = wrappers.NormalizeObservation(pendulum())
    env.obs_rms.mean[0] = np.nan
    with pytest.raises(Unrecognised, match="are not finite"):
        described(env=env)
