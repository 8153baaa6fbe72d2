"""What the script's environment takes and gives: its spaces and its wrappers, read without calling it."""

from __future__ import annotations

import math
import sys
from typing import Any, Dict, List, Optional, Tuple

from .capture import State
from .policy_source import Unrecognised

_TRANSPARENT = frozenset(
    {
        "Autoreset",
        "AutoResetWrapper",
        "ClipReward",
        "HumanRendering",
        "NormalizeReward",
        "OrderEnforcing",
        "PassiveEnvChecker",
        "RecordEpisodeStatistics",
        "RecordVideo",
        "RenderCollection",
        "TimeLimit",
        "TransformReward",
        "VectorizeTransformReward",
    }
)
"""Gymnasium's wrappers that leave observations and actions as they are."""

_MOST_BOUNDS = 4096  # of a box whose bounds differ: a description is read by people too
_DEEPEST = 50


def describe_environment(state: State) -> Dict[str, Any]:
    """Return the description of the environment that the script steps.

    Raises:
        Unrecognised: There is none, there are several that differ, or a wrapper may change what the policy sees.
    """
    found: List[Dict[str, Any]] = []
    for value in state.values.values():
        described = _describe(value)
        if described is not None and described not in found:
            found.append(described)
    if not found:
        raise Unrecognised("no variable of the script holds a gymnasium environment")
    if len(found) > 1:
        raise Unrecognised("the script holds several environments that differ")
    return found[0]


def _describe(value: Any) -> Optional[Dict[str, Any]]:
    gym: Any = sys.modules.get("gymnasium") or sys.modules.get("gym")
    if gym is None or not hasattr(gym, "vector"):
        return None
    if isinstance(value, gym.vector.VectorEnv):
        return _describe_vector(gym, value)
    if isinstance(value, gym.Env):
        base, wrappers = _unwrap(value)
        return _description(base, value.observation_space, value.action_space, wrappers)
    return None


def _describe_vector(gym: Any, value: Any) -> Dict[str, Any]:
    base, outer = _unwrap(value)
    single = getattr(base, "envs", None)
    if not single:
        raise Unrecognised(f"the environments inside {type(base).__name__} cannot be seen from the script's process")
    if isinstance(single[0], gym.vector.VectorEnv):
        raise Unrecognised("a vector environment of vector environments cannot be described")
    inner, wrappers = _unwrap(single[0])
    return _description(inner, value.single_observation_space, value.single_action_space, [*outer, *wrappers])


def _unwrap(env: Any) -> Tuple[Any, List[str]]:
    """Return the environment inside all wrappers, and their names, outermost first. Properties that cache are not read.

    Raises:
        Unrecognised: A wrapper is not known to leave observations and actions as they are.
    """
    names: List[str] = []
    while "env" in getattr(env, "__dict__", {}) and len(names) < _DEEPEST:
        kind = type(env)
        if kind.__name__ not in _TRANSPARENT or kind.__module__.split(".")[0] not in ("gymnasium", "gym"):
            raise Unrecognised(f"the wrapper {kind.__name__} may change observations or actions")
        names.append(kind.__name__)
        env = vars(env)["env"]
    return env, names


def _description(base: Any, observations: Any, actions: Any, wrappers: List[str]) -> Dict[str, Any]:
    spec = getattr(base, "__dict__", {}).get("spec")
    return {
        "env_id": getattr(spec, "id", None),
        "observation_space": describe_space(observations),
        "action_space": describe_space(actions),
        "wrappers": wrappers,
    }


def describe_space(space: Any) -> Dict[str, Any]:
    """Return a space of gymnasium as JSON can hold it; one that is neither box nor discrete has only its kind."""
    kind = type(space).__name__
    if kind == "Box":
        shape = [int(side) for side in space.shape]
        low, high = _bounds(space.low), _bounds(space.high)
        return {"space": "box", "shape": shape, "dtype": str(space.dtype), "low": low, "high": high}
    if kind == "Discrete":
        return {"space": "discrete", "n": int(space.n), "start": int(getattr(space, "start", 0))}
    return {"space": kind.lower()}


def _bounds(array: Any) -> Any:
    """Return the bounds as one number where all are equal, else as nested lists."""
    if array.size and (array == array.flat[0]).all():
        return _number(array.flat[0].item())
    if array.size > _MOST_BOUNDS:
        raise Unrecognised(f"the {array.size} bounds of the observation space differ")
    return _nested(array.tolist())


def _nested(value: Any) -> Any:
    return [_nested(item) for item in value] if isinstance(value, list) else _number(value)


def _number(value: Any) -> Any:
    """Return *value*, an infinity as the string that JSON lacks a number for."""
    return ("inf" if value > 0 else "-inf") if math.isinf(value) else value
