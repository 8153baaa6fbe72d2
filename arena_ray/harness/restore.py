"""Put a checkpoint's state back: first read and compare everything, then touch the live objects."""

from __future__ import annotations

import json
import pickle
import platform
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, NamedTuple

from . import checkpoint, rng, safetensors_file
from . import live as live_objects
from .capture import Slot
from .large_arrays import ArrayReader
from .live_state import LiveState, ModuleState
from .pickling import CheckpointMismatch, Unpickler
from .variables import MISSING, Variables

_MOST_PROBLEMS = 5
_TEN_YEARS_S = 10 * 365 * 86400.0


class Read(NamedTuple):
    """A checkpoint in memory, its live objects looked up but not yet touched."""

    header: Dict[str, Any]
    unpickler: Unpickler
    rng: Dict[str, Any]
    values: Dict[Slot, Any]
    weights: Dict[str, Any]

    def live_state(self) -> LiveState:
        """Return what it holds of live objects.

        Raises:
            CheckpointMismatch: The script has not made one of them.
        """
        require = self.unpickler.require
        modules = {}
        for key, names in self.header["weights"].items():
            rest = self.values["state", key, ""]
            tensors = {name: self.weights[f"{key}.{name}"] for name in names}
            modules[key] = ModuleState(require(key), {**tensors, **rest["tensors"]}, rest)
        leaves = {key: leaf for key, leaf in self.unpickler.leaves.items() if leaf.is_of_one_shape}
        saved = [(key, kind) for key, (kind, _, _) in self.header["table"].items() if ("state", key, "") in self.values]
        others: Dict[str, Dict[str, Any]] = {"optimizer": {}, "stateful": {}}
        for key, kind in saved:
            if kind in others:
                others[kind][key] = (require(key), self.values["state", key, ""])
        return LiveState(modules, leaves, others["optimizer"], others["stateful"])


def read_meta(path: Path) -> Dict[str, Any]:
    """Return ``resume/meta.json`` of the checkpoint at *path*.

    Raises:
        OSError: It cannot be read.
        CheckpointMismatch: It was written by another Python.
    """
    meta: Dict[str, Any] = json.loads((path / checkpoint.META).read_text("utf-8"))
    ours = ".".join(platform.python_version_tuple()[:2])
    theirs = ".".join(str(meta["python"]).split(".")[:2])
    if ours != theirs:
        raise CheckpointMismatch(f"the checkpoint was written by Python {theirs}, this is Python {ours}")
    return meta


def restore(path: Path, variables: Variables, *, advance: Callable[[], None]) -> Dict[str, Any]:
    """Put the state of the checkpoint at *path* back and return the local variables that the loop is to bind.

    Args:
        path: Its directory. The caller has checked the digests: this reads pickles.
        variables: The variables at the first boundary.
        advance: Called once nothing can go wrong any more, before the state is put back: moves the loop's iterator,
            which may draw random numbers.

    Raises:
        CheckpointMismatch: The checkpoint does not fit; nothing was touched.
    """
    found = read(path, variables)
    live_state = found.live_state()
    require_fit(live_state.problems())
    advance()
    live_state.put_back()
    bound: Dict[str, Any] = {}
    for (section, key, name), value in found.values.items():
        if section == "own":
            _set_attribute(found.unpickler.get(key), name, value)
        elif section in ("local", "global"):
            names = bound if section == "local" else variables.globals
            names[name] = _on_this_clock(name, value, found.header["time"])
    rng.restore(found.rng)
    return bound


def read(path: Path, variables: Variables, *, only_learned: bool = False) -> Read:
    """Read the checkpoint at *path*, and of its pickles, if so asked, only those of what was learned."""
    weights: Dict[str, Any] = {}
    if live_objects.torch_if_used() is not None:
        weights = dict(safetensors_file.read((path / checkpoint.POLICY).read_bytes()))
    with (path / checkpoint.STATE).open("rb") as file:
        header = pickle.load(file)
        unpickler = Unpickler(file, header["table"], variables, ArrayReader(path))
        generators = unpickler.load()
        slots = header["slots"]
        while only_learned and slots and slots[-1][0] not in ("state", "statistics"):
            slots.pop()
        values = {slot: unpickler.load() for slot in slots}
    return Read(header, unpickler, generators, values, weights)


def require_fit(problems: Iterable[str]) -> None:
    """Raise unless there are no *problems*.

    Raises:
        CheckpointMismatch: There are; it names the first.
    """
    texts = list(problems)
    if texts:
        more = len(texts) - _MOST_PROBLEMS
        text = "; ".join(texts[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise CheckpointMismatch("the checkpoint does not fit this script: " + text)


def _set_attribute(target: Any, name: str, value: Any) -> None:
    """Bind an attribute as it was stored, past properties and frozen dataclasses."""
    if target is MISSING:
        return  # nothing that was captured holds the object
    if hasattr(target, "__dict__") and not isinstance(getattr(type(target), name, None), types.MemberDescriptorType):
        vars(target)[name] = value
    else:
        object.__setattr__(target, name, value)


def _on_this_clock(name: str, value: Any, then: float) -> Any:
    """Return *value*, moved by the time that has passed where it is the moment at which the script started.

    Scripts compute their speed from it.
    """
    is_moment = name.endswith("start_time") and isinstance(value, float) and abs(value - then) < _TEN_YEARS_S
    return value + (time.time() - then) if is_moment else value
