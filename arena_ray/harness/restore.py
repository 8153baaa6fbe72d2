"""Put a checkpoint's state back: first read and compare everything, then touch the live objects."""

from __future__ import annotations

import json
import pickle
import platform
import time
import types
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple

from . import checkpoint, rng, safetensors_file
from . import live as live_objects
from .capture import Slot
from .pickling import CheckpointMismatch, Unpickler
from .variables import MISSING, Variables

_MOST_PROBLEMS = 5
_TEN_YEARS_S = 10 * 365 * 86400.0


class _Read(NamedTuple):
    """A checkpoint in memory, its live objects looked up but not yet touched."""

    header: Dict[str, Any]
    unpickler: Unpickler
    rng: Dict[str, Any]
    values: Dict[Slot, Any]
    weights: Dict[str, Any]


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
    read = _read(path, variables)
    problems = [*_weight_problems(read), *_optimizer_problems(read)]
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        text = "; ".join(problems[:_MOST_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        raise CheckpointMismatch("the checkpoint does not fit this script: " + text)
    advance()
    _put_back_objects(read)
    found: Dict[str, Any] = {}
    for (section, _, name), value in read.values.items():
        if section in ("local", "global"):
            names = found if section == "local" else variables.globals
            names[name] = _on_this_clock(name, value, read.header["time"])
    rng.restore(read.rng)
    return found


def _read(path: Path, variables: Variables) -> _Read:
    weights: Dict[str, Any] = {}
    if live_objects.torch_if_used() is not None:
        weights = dict(safetensors_file.read((path / checkpoint.POLICY).read_bytes()))
    with (path / checkpoint.STATE).open("rb") as file:
        header = pickle.load(file)
        unpickler = Unpickler(file, header["table"], variables)
        states = unpickler.load()
        values = {slot: unpickler.load() for slot in header["slots"]}
    return _Read(header, unpickler, states, values, weights)


def _weight_problems(read: _Read) -> List[str]:
    problems = []
    for key, names in read.header["weights"].items():
        ours = live_objects.tensors(read.unpickler.require(key))
        theirs = {name: read.weights[f"{key}.{name}"] for name in names}
        theirs.update(read.values["state", key, ""]["tensors"])
        for name in sorted({*ours, *theirs}):
            if name not in theirs or name not in ours:
                lacking = "the checkpoint" if name not in theirs else "the script"
                problems.append(f"{lacking} has no {key}.{name}")
            elif (ours[name].shape, ours[name].dtype) != (theirs[name].shape, theirs[name].dtype):
                problems.append(f"{key}.{name} is {_form(theirs[name])} there and {_form(ours[name])} here")
    return problems


def _optimizer_problems(read: _Read) -> List[str]:
    problems = []
    for key, (kind, _, _) in read.header["table"].items():
        if kind == "optimizer" and ("state", key, "") in read.values:
            ours = [group["params"] for group in read.unpickler.require(key).param_groups]
            theirs = [group["params"] for group in read.values["state", key, ""]["groups"]]
            same = [list(map(id, params)) for params in ours] == [list(map(id, params)) for params in theirs]
            if not same:
                problems.append(f"the optimizer {key} steps other parameters")
    return problems


def _form(tensor: Any) -> str:
    return f"{str(tensor.dtype).split('.')[-1]}{list(tensor.shape)}"


def _put_back_objects(read: _Read) -> None:
    torch = live_objects.torch_if_used()
    if torch is not None:
        with torch.no_grad():
            for key in read.header["weights"]:
                _put_back_module(read, key)
            for live, data, grad in read.unpickler.leaves:
                live.copy_(data)
                live.grad = grad
    for (section, key, name), value in read.values.items():
        if section == "own":
            _set_attribute(read.unpickler.get(key), name, value)
    for key, (kind, _, _) in read.header["table"].items():
        saved = read.values.get(("state", key, ""))
        if kind == "optimizer" and saved is not None:
            _put_back_optimizer(read.unpickler.require(key), saved)
        elif kind == "stateful" and saved is not None:
            read.unpickler.require(key).load_state_dict(saved)


def _put_back_module(read: _Read, key: str) -> None:
    module, state = read.unpickler.require(key), read.values["state", key, ""]
    for name, tensor in live_objects.tensors(module).items():
        saved = state["tensors"].get(name)
        tensor.copy_(read.weights[f"{key}.{name}"] if saved is None else saved)
    parameters = dict(module.named_parameters())
    for name, needed in state["requires_grad"].items():
        parameters[name].requires_grad_(needed)
        parameters[name].grad = state["grad"][name]
    for name, part in module.named_modules():
        part.training = state["training"].get(name, part.training)


def _put_back_optimizer(optimizer: Any, saved: Dict[str, Any]) -> None:
    """Put an optimizer's state back without ``load_state_dict``, which casts it to the parameters' dtype."""
    optimizer.state.clear()
    optimizer.state.update(saved["state"])
    for index, group in enumerate(saved["groups"]):
        optimizer.param_groups[index].update({name: value for name, value in group.items() if name != "params"})


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
