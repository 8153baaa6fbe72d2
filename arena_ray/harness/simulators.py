"""Pickle environments whose simulator keeps its state outside Python: with that state, not by constructor arguments.

Gymnasium's ``EzPickle`` makes such an environment anew from the arguments of its constructor: at its beginning, with
another generator. MuJoCo's model and data know how they are pickled. The data are taken whole, not only the state that
``mj_getState`` returns: Ant and Humanoid compute rewards from positions that the last step has left behind.
An Atari machine is built anew and put into the state that was cloned, its generator included.
"""

from __future__ import annotations

import copyreg
import sys
from typing import Any, Dict, Optional, Tuple


def is_environment(value: Any) -> bool:
    """Return whether *value* is an environment of gymnasium, or several behind one."""
    gym: Any = sys.modules.get("gymnasium") or sys.modules.get("gym")
    vector = getattr(getattr(gym, "vector", None), "VectorEnv", None)
    kinds = tuple(kind for kind in (getattr(gym, "Env", None), vector) if isinstance(kind, type))
    return isinstance(value, kinds)


def reduce(obj: Any, *, make_atari: Any, set_attributes: Any) -> Optional[Tuple[Any, ...]]:
    """Return how to pickle *obj*; None where it is no environment of a simulator that is known here.

    Args:
        obj: An object whose class derives from ``EzPickle``.
        make_atari: Stands for :func:`make_atari_environment` in the pickle.
        set_attributes: Stands for :func:`set_attributes` in the pickle: ``EzPickle`` has a ``__setstate__`` of its own.
    """
    inside: Dict[str, Any] = getattr(obj, "__dict__", {})
    mujoco: Any = sys.modules.get("mujoco")
    if mujoco is not None and any(isinstance(value, mujoco.MjData) for value in inside.values()):
        return copyreg.__newobj__, (type(obj),), dict(inside), None, None, set_attributes  # type: ignore[attr-defined]
    machine = inside.get("ale")
    if machine is None or not hasattr(machine, "cloneState"):
        return None
    made_of = (type(obj), obj._ezpickle_args, obj._ezpickle_kwargs, machine.cloneState(include_rng=True))
    rest = {name: value for name, value in inside.items() if name != "ale"}
    return make_atari, made_of, rest, None, None, set_attributes


def without_viewers(renderer: Any) -> Tuple[Any, ...]:
    """Return how to pickle a renderer of MuJoCo's: its windows and drawing contexts are made again when needed."""
    closed = {**vars(renderer), "viewer": None, "_viewers": {}}
    return copyreg.__newobj__, (type(renderer),), closed  # type: ignore[attr-defined]


def make_atari_environment(cls: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any], state: Any) -> Any:
    """Return an environment made like the one that was pickled, its machine in *state*."""
    made = cls(*args, **kwargs)
    made.ale.restoreState(state)
    return made


def set_attributes(obj: Any, attributes: Dict[str, Any]) -> None:
    """Bind the attributes of *obj* as they were."""
    vars(obj).update(attributes)


def quantities(data: Any) -> Optional[Dict[str, Any]]:
    """Return what MuJoCo's *data* hold but for statistics of its solver and of the clock; None of anything else."""
    mujoco: Any = sys.modules.get("mujoco")
    if mujoco is None or not isinstance(data, mujoco.MjData):
        return None
    found = {name: getattr(data, name) for name in dir(data) if not name.startswith(("_", "solver"))}
    return {name: value for name, value in found.items() if name == "time" or hasattr(value, "dtype")}
