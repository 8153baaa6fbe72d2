"""Environments that tests copy, and the state of a script that holds them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import EzPickle

from arena_ray.harness import capture
from arena_ray.harness.live import LiveMap
from arena_ray.harness.variables import Variables

OUTSIDE = {"turns": 0}
"""State of a simulator that lies outside of its environments."""


class Walk(gym.Env):
    """A walk whose state is one attribute; subclasses keep it elsewhere."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (1,))

    def __init__(self, stride: float = 1.0):
        self.action_space = gym.spaces.Discrete(2)
        self.stride, self.place, self.steps = stride, 0.0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = 0.0, 0
        return self._seen(), {}

    def step(self, action):
        self.steps += 1
        self.place += self.stride * (1 if action else -1) + self.np_random.normal()
        return self._seen(), self.place, False, self.steps >= 40, {}

    def _seen(self):
        return np.array([self.place], dtype=np.float32)


class Forgetful(Walk, EzPickle):
    """As Box2D's: pickled, it keeps the arguments of its constructor only."""

    def __init__(self, stride: float = 1.0):
        Walk.__init__(self, stride)
        EzPickle.__init__(self, stride)


class Whole(Forgetful):
    """It derives from ``EzPickle`` but is pickled whole."""

    def __getstate__(self):
        return vars(self)

    def __setstate__(self, state):
        vars(self).update(state)


class Elsewhere(Walk):
    """Part of its state lies outside of it: copies disturb each other."""

    def step(self, action):
        OUTSIDE["turns"] += 1
        seen, _, *rest = super().step(action)
        return (seen, float(OUTSIDE["turns"]), *rest)


class Gambling(Walk):
    """Draws from numpy's global generator."""

    def step(self, action):
        self.place += np.random.normal()
        return super().step(action)


def played(env: Any, steps: int = 50) -> Any:
    """Return *env* in the middle of an episode."""
    env.reset(seed=1)
    env.action_space.seed(2)
    for _ in range(steps):
        given = env.step(env.action_space.sample())
        if not hasattr(env, "single_action_space") and (given[2] or given[3]):
            env.reset()
    return env


def state_of(fixed: tuple[Any, ...] = (), **names: Any) -> capture.State:
    """Return the state of a script whose global variables are *names*."""
    frame: Any = SimpleNamespace(f_globals=names, f_locals={})
    variables = Variables(frame, None)
    return capture.take(variables, LiveMap(variables, script_dir=Path("/nowhere"), fixed=list(fixed)))
