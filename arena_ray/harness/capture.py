"""Take the script's whole state at a boundary: weights by name, everything else as one stream of pickles."""

from __future__ import annotations

import io
import pickle
import time
from typing import Any, Dict, List, NamedTuple, Tuple

from . import live as live_objects
from . import rng, running_statistics, safetensors_file, simulators
from .live import LiveMap
from .pickling import NotCaptured, bases_among, make_pickler
from .variables import Variables, class_name

Slot = Tuple[str, str, str]
"""Where a value belongs: a section, the key of a live object or of an environment, a name.

Sections are ``state`` of live objects, running ``statistics``, attributes of the script's ``own`` objects, and
``local`` and ``global`` variables.
"""

Skipped = List[Dict[str, str]]
_NEVER_CHANGE = (bool, int, float, complex, str, bytes, type(None))


class State(NamedTuple):
    """Everything that a restore needs; *weights* by module key and name, *values* by slot."""

    live_map: LiveMap
    weights: Dict[str, Dict[str, Any]]
    values: Dict[Slot, Any]
    rng: Dict[str, Any]
    skipped: Skipped


class _Nowhere(io.RawIOBase):
    """A file, and a place for large arrays, that forgets: for finding out what can be pickled."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Take *data* and forget it."""
        return memoryview(data).nbytes

    def add(self, memory: memoryview) -> int:
        """Take an array and forget it."""
        return 0


def take(variables: Variables, live_map: LiveMap) -> State:
    """Return the state that is reachable from *variables*, without copying it."""
    weights: Dict[str, Dict[str, Any]] = {}
    values: Dict[Slot, Any] = {}
    skipped: Skipped = []
    # What was learned before all else: whoever takes over only that (see loading.py) need not read the replay buffer.
    for key, live in live_map.by_key.items():
        if live.kind == "module":
            weights[key] = _weights(live.value)
            values["state", key, ""] = module_state(live.value, weights[key])
        elif live.kind == "optimizer":
            values["state", key, ""] = optimizer_state(live.value)
        elif live.kind == "stateful":
            values["state", key, ""] = live.value.state_dict()
        elif live.kind == "leaf":
            values["state", key, ""] = live.value
    for (key, way), statistics in running_statistics.find(variables).items():
        values["statistics", key, way] = running_statistics.values(statistics)
    for key, live in live_map.by_key.items():
        if live.kind in ("module", "part", "optimizer", "own"):
            for name, value in live_map.attributes(live.value).items():
                values["own", key, name] = value
    for scope, names in variables.scopes():
        for name, value in names.items():
            if not live_map.is_fixed(value):
                values[scope, "", name] = value
    _leave_out_enclosing(variables, live_map, values, skipped)
    return State(live_map, weights, values, rng.capture(), skipped)


def module_state(module: Any, weights: Dict[str, Any]) -> Dict[str, Any]:
    """Return what *weights*, tensors of *module*, do not say of it."""
    parameters = dict(module.named_parameters())
    return {
        "training": {name: part.training for name, part in module.named_modules()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in parameters.items()},
        # a script that accumulates gradients over several passes needs them
        "grad": {name: parameter.grad for name, parameter in parameters.items()},
        "tensors": {
            name: tensor.detach() for name, tensor in live_objects.tensors(module).items() if name not in weights
        },
    }


def optimizer_state(optimizer: Any) -> Dict[str, Any]:
    """Return what an optimizer remembers of its parameters, and its groups of them."""
    return {"state": dict(optimizer.state), "groups": [dict(group) for group in optimizer.param_groups]}


def slot_text(slot: Slot) -> str:
    """Return *slot* as one would write it in Python."""
    section, key, name = slot
    return key + "." + name if section == "own" else key or name


def write_weights(file: Any, state: State) -> None:
    """Write the weights of every module as one safetensors file."""
    tensors = {f"{key}.{name}": tensor for key, named in state.weights.items() for name, tensor in named.items()}
    safetensors_file.write(file, tensors)


def write_state(file: Any, state: State, arrays: Any) -> None:
    """Write all that is not weights; what cannot be pickled is left out and added to ``state.skipped``.

    Args:
        file: Where to.
        state: What was captured.
        arrays: Takes large arrays, see large_arrays.py.

    Raises:
        Exception: Whatever pickling raises, where it fails though each value alone can be pickled.
    """
    try:
        _dump(file, state, arrays)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - pickling runs methods of any class, which raise anything
        _leave_out_unpicklable(state)
        file.restart()
        arrays.restart()
        _dump(file, state, arrays)


def _dump(file: Any, state: State, arrays: Any) -> None:
    live_map = state.live_map
    table = {key: (live.kind, class_name(live.value), live.paths) for key, live in live_map.by_key.items()}
    weights = {key: list(tensors) for key, tensors in state.weights.items()}
    pickle.dump({"table": table, "weights": weights, "slots": list(state.values), "time": time.time()}, file)
    # One pickler for all values: an object that two of them hold is written once and is one object afterwards.
    pickler = make_pickler(file, live_map, arrays)
    pickler.bases = bases_among(state.values.values())
    pickler.dump(state.rng)
    notes: Skipped = []
    for slot, value in state.values.items():
        pickler.is_of_environment, pickler.value = simulators.is_environment(value), value
        pickler.dump(value)
        notes.extend({"name": slot_text(slot), "why": note} for note in pickler.notes)
        pickler.notes.clear()
    state.skipped.extend(notes)


def _leave_out_unpicklable(state: State) -> None:
    for slot, value in list(state.values.items()):
        nowhere = _Nowhere()
        pickler = make_pickler(nowhere, state.live_map, nowhere)
        pickler.is_of_environment = simulators.is_environment(value)
        try:
            pickler.dump(value)
        except Exception as exc:  # noqa: BLE001 - as in write_state
            del state.values[slot]
            reason = str(exc) if isinstance(exc, NotCaptured) else f"{type(exc).__name__}: {exc}"
            state.skipped.append({"name": slot_text(slot), "why": reason})


def _leave_out_enclosing(variables: Variables, live_map: LiveMap, values: Dict[Slot, Any], skipped: Skipped) -> None:
    """Leave out the variables of an enclosing function: the main loop's own function cannot bind them."""
    for name, value in variables.locals.items():
        if ("local", "", name) in values and name not in variables.writable:
            del values["local", "", name]
            if id(value) not in live_map.key_of and not isinstance(value, _NEVER_CHANGE):
                skipped.append({"name": name, "why": "it belongs to an enclosing function"})


def _weights(module: Any) -> Dict[str, Any]:
    # made dense here: that computes, which whoever writes them may not be able to (see snapshot.py)
    return {
        name: tensor if tensor.is_contiguous() else tensor.detach().contiguous()
        for name, tensor in live_objects.persistent_tensors(module).items()
        if str(tensor.dtype) in safetensors_file.DTYPES and str(tensor.layout) == "torch.strided"
    }
