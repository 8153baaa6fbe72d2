"""What the script's environment takes and gives: spaces, wrappers and their statistics, read without calling it."""

from __future__ import annotations

import sys
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

from .capture import State
from .policy_source import Unrecognised
from .policy_trace import trace
from .policy_values import Chain, Unknown
from .spaces import MOST_NUMBERS, describe_space, nested, number

Step = Dict[str, Any]

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

_DEEPEST = 50
_OBSERVATION_LAYERS = ("clip", "divide", "scale", "shift")
_OWN_NAMES = frozenset(
    {"__module__", "__doc__", "__init__", "__qualname__", "__firstlineno__", "__static_attributes__", "__parameters__"}
    | {"__abstractmethods__", "_abc_impl", "__annotations__", "__dict__", "__weakref__", "__orig_bases__"}
)
"""What a class has that only makes a known wrapper in another way."""


class Environment(NamedTuple):
    """What the script steps.

    *description* is of the environment inside all wrappers; *observation* and *action* are what the wrappers do, in the
    order in which it happens; *names* are the variables that hold it.
    """

    description: Dict[str, Any]
    observation: List[Step]
    action: List[Step]
    names: FrozenSet[str]


class _Chain(NamedTuple):
    """An environment with its wrappers, outermost first, as gymnasium names them."""

    base: Any
    wrappers: List[Tuple[str, Any]]
    held: List[int]


def describe_environment(state: State) -> Environment:
    """Return the environment that the script steps.

    Raises:
        Unrecognised: There is none, there are several that differ, or a wrapper does what cannot be described.
    """
    gym: Any = sys.modules.get("gymnasium") or sys.modules.get("gym")
    chains: Dict[int, Tuple[_Chain, List[str]]] = {}
    for (_, _, name), value in state.values.items():
        if gym is not None and _is_environment(gym, value):
            chains.setdefault(id(value), (_unwrap(gym, value), []))[1].append(name)
    inner = {held for chain, _ in chains.values() for held in chain.held}
    found: List[Environment] = []
    for key, (chain, names) in chains.items():
        if key not in inner:
            _add(found, _describe(chain, frozenset(names)))
    if not found:
        raise Unrecognised("no variable of the script holds a gymnasium environment")
    if len(found) > 1:
        raise Unrecognised("the script holds several environments that differ")
    return found[0]


def _add(found: List[Environment], one: Environment) -> None:
    for index, other in enumerate(found):
        if other[:3] == one[:3]:
            found[index] = other._replace(names=other.names | one.names)
            return
    found.append(one)


def _is_environment(gym: Any, value: Any) -> bool:
    return hasattr(gym, "vector") and isinstance(value, (gym.Env, gym.vector.VectorEnv))


def _unwrap(gym: Any, env: Any) -> _Chain:
    """Return *env* taken apart; of several that are stepped side by side, the first."""
    wrappers: List[Tuple[str, Any]] = []
    held: List[int] = []
    while len(held) < _DEEPEST:
        attributes = getattr(env, "__dict__", {})
        if "env" in attributes:
            wrappers.append((_known(type(env)), env))
            env = attributes["env"]
        elif isinstance(env, gym.vector.VectorEnv):
            if not attributes.get("envs"):
                kind = type(env).__name__
                raise Unrecognised(f"the environments inside {kind} cannot be seen from the script's process")
            env = attributes["envs"][0]
            if isinstance(env, gym.vector.VectorEnv):
                raise Unrecognised("a vector environment of vector environments cannot be described")
        else:
            return _Chain(env, wrappers, held)
        held.append(id(env))
    raise Unrecognised(f"more than {_DEEPEST} wrappers lie around the environment")


def _known(kind: type) -> str:
    """Return gymnasium's name of a class of wrappers, also where a class of another's only makes it otherwise."""
    for cls in kind.__mro__:
        if cls.__module__.split(".")[0] in ("gymnasium", "gym"):
            return cls.__name__
        if not set(vars(cls)) <= _OWN_NAMES:
            break
    return f"{kind.__module__}.{kind.__name__}"


def _describe(chain: _Chain, names: FrozenSet[str]) -> Environment:
    base = chain.base
    spec = getattr(base, "__dict__", {}).get("spec")
    description: Dict[str, Any] = {
        "env_id": getattr(spec, "id", None),
        "observation_space": describe_space(base.observation_space),
        "action_space": describe_space(base.action_space),
        "wrappers": [kind.split(".")[-1] for kind, _ in chain.wrappers],
    }
    observation: List[Step] = []
    action: List[Step] = []
    for kind, wrapper in reversed(chain.wrappers):  # from the innermost on
        if kind in _TRANSPARENT:
            continue
        step = _observation_steps(kind, wrapper)
        if step is None and kind == "ClipAction" and description["action_space"]["space"] == "box":
            space = description["action_space"]
            action.insert(0, {"step": "clip", "low": space["low"], "high": space["high"]})
            continue
        if step is None:
            raise Unrecognised(f"the wrapper {kind.split('.')[-1]} may change observations or actions")
        observation.extend(step)
    if observation and description["observation_space"]["space"] != "box":
        raise Unrecognised(f"the wrappers change observations that are a {description['observation_space']['space']}")
    return Environment(description, observation, action, names)


def _observation_steps(kind: str, wrapper: Any) -> Optional[List[Step]]:
    """Return what a wrapper does to observations, or None where that is not known."""
    held = vars(wrapper)
    if kind == "FlattenObservation":
        return [{"step": "flatten"}]
    if kind == "NormalizeObservation":
        return [_normalize(held["obs_rms"], held["epsilon"])]
    if kind == "TransformObservation":
        return _transform(held.get("func", held.get("f")))
    return None


def _normalize(statistics: Any, epsilon: float) -> Step:
    mean, var = statistics.mean, statistics.var
    if mean.size > MOST_NUMBERS:
        raise Unrecognised(f"the statistics of {mean.size} numbers are too many for a description")
    if str(mean.dtype) != str(var.dtype):
        raise Unrecognised(f"mean and variance are of types {mean.dtype} and {var.dtype}")
    if not all(sys.modules["numpy"].isfinite(array).all() for array in (mean, var)):
        raise Unrecognised("the statistics of the observations are not finite")
    numbers = {"mean": nested(mean.tolist()), "var": nested(var.tolist()), "dtype": str(mean.dtype)}
    return {"step": "normalize", **numbers, "epsilon": float(epsilon)}


def _transform(function: Any) -> List[Step]:
    try:
        result = trace(function, [Chain((), 1, None)], {}, {})
        if isinstance(result, Chain) and not result.choice and not result.stage:
            return [_as_step(layer) for layer in result.layers]
        why = f"not understood: {result.why}" if isinstance(result, Unknown) else "what it returns is not understood"
    except Unrecognised as exc:
        why = str(exc)
    raise Unrecognised(f"the wrapper TransformObservation may change observations: {why}")


def _as_step(layer: Dict[str, Any]) -> Step:
    name = layer["layer"]
    if name not in _OBSERVATION_LAYERS:
        raise Unrecognised(f"{name} cannot be described of observations")
    return {"step": name, **{key: number(value) for key, value in layer.items() if key != "layer"}}
