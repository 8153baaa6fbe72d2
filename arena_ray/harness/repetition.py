"""Find out whether pickled environments are whole: one counts as captured only if a copy repeats its next steps.

The live environment is not touched. A copy of it is stepped; half-way, when it is no longer what its constructor made,
it is copied in turn, and both must go on alike.
"""

from __future__ import annotations

import io
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from . import rng
from .capture import State, slot_text
from .fingerprints import Fingerprints
from .live import Live, is_code
from .pickling import Unpickler, make_pickler
from .simulators import is_environment
from .variables import class_name

STEPS = 64
"""How many steps a copy must repeat."""

_LEAD = 32  # steps before it is copied
_MOST_INSIDE = 1000
_WRITING = ("Monitor", "RecordVideo", "VideoRecorder")
"""Wrappers that write files when they are stepped; they are taken off copies."""


class CannotCopy(Exception):
    """An environment cannot be copied, with what stands in the way."""


class _Uncopied(NamedTuple):
    """What a pickler takes for live: only what is held as it is, such as writers."""

    by_key: Dict[str, Live]
    key_of: Dict[int, str]


class _CopyReader(Unpickler):
    def require(self, key: str) -> Any:
        raise CannotCopy(f"it holds {key}, of which there can be only one")


def unrepeated(state: State) -> List[Dict[str, str]]:
    """Return the environments among the variables of *state* that a copy does not repeat, with name and why.

    Has no effect on the environments themselves, nor on the generators of the process.
    """
    fixed = {
        key: live for key, live in state.live_map.by_key.items() if live.kind == "fixed" and not is_code(live.value)
    }
    uncopied = _Uncopied(fixed, {id(live.value): key for key, live in fixed.items()})
    found = []
    for name, env in environments(state):
        generators = rng.capture()
        try:
            why = _check(env, uncopied)
        except Exception as exc:  # noqa: BLE001 - environments are anybody's code
            why = str(exc) if isinstance(exc, CannotCopy) else f"a copy of it fails: {type(exc).__name__}: {exc}"
        finally:
            rng.restore(generators)
        if why:
            found.append({"name": name, "why": why})
    return found


def environments(state: State) -> Iterator[Tuple[str, Any]]:
    """Yield name and object of each environment that a variable holds, also in a list or dictionary."""
    seen: Set[int] = set()
    for slot, value in state.values.items():
        held = [value]
        if type(value) in (list, tuple, dict) and len(value) <= _MOST_INSIDE:
            held += list(value.values()) if type(value) is dict else list(value)
        for one in held:
            if is_environment(one) and id(one) not in seen:
                seen.add(id(one))
                yield slot_text(slot), one


def _check(env: Any, uncopied: _Uncopied) -> str:
    """Return why *env* is not captured, nothing where it is."""
    first = _Player(_copy(env, uncopied))
    first.play(_LEAD)
    second = _Player(_copy(first.env, uncopied))
    generators = rng.capture()
    expected = list(first.played(STEPS))
    rng.restore(generators)
    for number, (was, now) in enumerate(zip(expected, second.played(STEPS)), 1):  # noqa: B905 - Python 3.8
        if was != now:
            return f"a copy of {class_name(env)} differs at step {number}"
    return ""


class _Player:
    """Steps an environment with random actions."""

    def __init__(self, env: Any) -> None:
        self.env = _without_writers(env)
        self._is_vector = hasattr(self.env, "single_action_space")

    def play(self, steps: int) -> None:
        """Take so many steps, from a new episode on where none is under way."""
        try:
            self._step()
        except Exception:  # noqa: BLE001 - each library has its own error for a step before the first reset
            self.env.reset()
        for _ in range(steps):
            self._step()

    def played(self, steps: int) -> Iterator[str]:
        """Yield the digest of what each of so many steps took and gave."""
        for _ in range(steps):
            yield Fingerprints().of(self._step())

    def _step(self) -> List[Any]:
        action = self.env.action_space.sample()
        given = list(self.env.step(action))
        if not self._is_vector and any(given[2:-1]):
            given.append(self.env.reset())
        return [action, *given]


def _copy(env: Any, uncopied: Any) -> Any:
    file = io.BytesIO()
    nothing: Any = None  # no live object is looked up among any variables, no array lies in a file
    pickler = make_pickler(file, uncopied)
    pickler.dump(env)
    if pickler.notes:
        raise CannotCopy(pickler.notes[0])
    file.seek(0)
    return _CopyReader(file, {}, nothing, nothing).load()


def _without_writers(env: Any) -> Any:
    """Return *env* without its wrappers that write files. It is a copy: it may be changed."""
    while type(env).__name__ in _WRITING and "env" in vars(env):
        env = vars(env)["env"]
    inside = getattr(env, "__dict__", {})
    if "env" in inside:
        inside["env"] = _without_writers(inside["env"])
    elif isinstance(inside.get("envs"), (list, tuple)):
        inside["envs"] = type(inside["envs"])(map(_without_writers, inside["envs"]))
    return env
