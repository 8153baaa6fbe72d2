"""Pickle the script's variables around its live objects, and unpickle them around the live objects of a new process.

Live objects (see live.py) go into the pickle by their keys. Functions and classes of the script go by their names, and
a function that has none goes with its code (cloudpickle) but with the live module's globals. Tensors that share memory
go with one copy of it, so that they share memory afterwards too.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import types
from collections import deque
from typing import IO, Any, Dict, FrozenSet, Iterable, List, Optional, Tuple, Type

from . import live as live_objects
from . import simulators
from .large_arrays import LARGE_FROM_BYTES, ArrayReader, memory_at, memory_of
from .live import Leaf, LiveMap
from .variables import MISSING, Path, Variables, class_name, follow

_DENSE_DEVICES = ("cpu", "cuda")
_GATHERS = (list, dict, deque)
_GRAPH_NOTE = "tensors in it hang on a graph for gradients, which is lost: after a restore none flow through them"


class CheckpointMismatch(Exception):
    """The checkpoint does not fit the script, its flags or its environment."""


class NotCaptured(Exception):
    """An environment would not be the same after a restore; the message says why."""


class Builder:
    """Stands for a method of :class:`Unpickler` that builds an object while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Satisfy pickle, which takes only callables as builders."""


_OWN, _LEAF, _STORAGE, _TENSOR = map(Builder, ("own", "leaf", "storage", "tensor"))
_LARGE_STORAGE, _LARGE_ARRAY = map(Builder, ("large_storage", "large_array"))
_ATARI, _ATTRIBUTES = map(Builder, ("atari", "attributes"))
_VIEW = Builder("view")


class _Storage:
    """The memory of one or more tensors."""

    def __init__(self, untyped: Any) -> None:
        self.untyped = untyped


class _Reductions:
    """What our picklers do differently; mixed into cloudpickle's or, where that is missing, pickle's."""

    live_map: LiveMap
    main_names: Dict[str, Any]
    notes: List[str]
    is_of_environment: bool
    value: Any
    bases: FrozenSet[int]

    def prepare(self, live_map: LiveMap, arrays: Any) -> None:
        self.live_map = live_map
        self._arrays = arrays
        self.main_names = vars(sys.modules["__main__"])
        self.notes = []
        self.is_of_environment = False  # whether what is being pickled is an environment, by itself
        self.value = None  # what is being pickled
        self.bases = frozenset()  # ids of arrays that are pickled anyway: views of them stay views
        self._torch = live_objects.torch_if_used()
        self._storages: Dict[int, _Storage] = {}
        seeded = getattr(self, "globals_ref", None)
        if seeded is not None:  # cloudpickle: functions keep the script's live globals
            seeded[id(self.main_names)] = self.main_names

    def persistent_id(self, obj: Any) -> Optional[Tuple[str, ...]]:
        if isinstance(obj, (type, types.FunctionType)):
            home = getattr(obj, "__module__", None) or ""
            if _named(sys.modules.get(home), obj.__qualname__) is obj:
                return ("main", obj.__qualname__) if home == "__main__" else None
        elif isinstance(obj, types.ModuleType):
            return ("main module",) if vars(obj) is self.main_names else ("module", obj.__name__)
        elif type(obj) is Builder:
            return ("builder", obj.name)
        elif obj is self.main_names:
            return ("main globals",)
        key = self.live_map.key_of.get(id(obj))
        if key is None or self.live_map.by_key[key].kind in ("own", "leaf"):
            return None
        return ("live", key)

    def reducer_override(self, obj: Any) -> Any:
        key = self.live_map.key_of.get(id(obj))
        if key is not None and self.live_map.by_key[key].kind in ("own", "leaf"):
            return self._reduce_live(key, obj)
        torch = self._torch
        if torch is not None and type(obj) is torch.Tensor and _is_dense(torch, obj):
            return self._reduce_tensor(obj)
        if type(obj) is _Storage:
            return self._reduce_storage(obj.untyped)
        if id(getattr(obj, "base", None)) in self.bases and type(obj) is type(obj.base):
            return _VIEW, (obj.base, _address(obj) - _address(obj.base), obj.shape, obj.strides, obj.dtype)
        memory = self._arrays and memory_of(obj)
        if memory:
            return _LARGE_ARRAY, (
                self._arrays.add(memory),
                obj.dtype,
                obj.shape,
                "C" if obj.flags.c_contiguous else "F",
            )
        if getattr(getattr(type(obj), "__getstate__", None), "__qualname__", "") == "EzPickle.__getstate__":
            whole = simulators.reduce(obj, make_atari=_ATARI, set_attributes=_ATTRIBUTES)
            if whole is not None:
                return whole
            note = f"{class_name(obj)} keeps only its constructor arguments: it starts anew after a restore"
            if self.is_of_environment:
                raise NotCaptured(note)
            self.notes.append(note)
        elif type(obj).__name__ == "MujocoRenderer":
            return simulators.without_viewers(obj)
        theirs = getattr(super(), "reducer_override", None)
        reduced = theirs(obj) if theirs else NotImplemented
        if isinstance(obj, types.FunctionType) and obj.__globals__ is self.main_names:
            return _without_globals(reduced)
        return reduced

    def _reduce_live(self, key: str, obj: Any) -> Any:
        if self.live_map.by_key[key].kind == "own":
            return _OWN, (key, type(obj))
        is_parameter = isinstance(obj, self._torch.nn.Parameter)
        return _LEAF, (key, obj.detach(), obj.grad, is_parameter)

    def _reduce_storage(self, untyped: Any) -> Any:
        memory = untyped.cpu()
        size, device = memory.nbytes(), str(untyped.device)
        if self._arrays is not None and size >= LARGE_FROM_BYTES:
            return _LARGE_STORAGE, (self._arrays.add(memory_at(memory.data_ptr(), size)), size, device)
        return _STORAGE, (bytes(memory_at(memory.data_ptr(), size)) if size else b"", device)

    def _reduce_tensor(self, tensor: Any) -> Any:
        untyped = tensor.untyped_storage()
        storage = self._storages.setdefault(untyped._cdata, _Storage(untyped))
        # What is gathered from pass to pass is meant to be used; anything else is only what the last pass left behind.
        if tensor.grad_fn is not None and isinstance(self.value, _GATHERS) and _GRAPH_NOTE not in self.notes:
            self.notes.append(_GRAPH_NOTE)
        place = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        # one that was computed has lost its graph in the new process: it must not look like a leaf there, a weight
        return _TENSOR, (storage, str(tensor.dtype), *place, tensor.requires_grad and tensor.is_leaf)


def pickler_class() -> Type[pickle.Pickler]:
    """Return the class of the script's own cloudpickle (gymnasium needs it), or else of pickle."""
    try:
        import cloudpickle
    except ImportError:
        return pickle.Pickler
    return cloudpickle.Pickler  # type: ignore[no-any-return]


def make_pickler(file: Any, live_map: LiveMap, arrays: Any = None) -> Any:
    """Return a pickler that writes to *file*; its ``notes`` say what it could not capture without failing.

    Large arrays go to *arrays*, where there is such a place: see large_arrays.py.
    """
    pickler = type("Pickler", (_Reductions, pickler_class()), {})(file, protocol=pickle.HIGHEST_PROTOCOL)
    pickler.prepare(live_map, arrays)
    return pickler


class Unpickler(pickle.Unpickler):
    """Reads the variables; touches no live object, but notes in *leaves* what is to be put into bare tensors.

    Args:
        file: Where the pickle is read from.
        table: By key, the kind, class name and paths of each object that was live when the checkpoint was written.
        variables: The variables of this process.
        arrays: The large arrays of the checkpoint.
    """

    def __init__(
        self,
        file: IO[bytes],
        table: Dict[str, Tuple[str, str, List[Path]]],
        variables: Variables,
        arrays: ArrayReader,
    ) -> None:
        super().__init__(file)
        self._arrays = arrays
        self._table = table
        self._variables = variables
        self._found: Dict[str, Any] = {}
        self._claimed: Dict[int, str] = {}
        self._torch = live_objects.torch_if_used()
        self.leaves: Dict[str, Leaf] = {}

    def require(self, key: str) -> Any:
        """Return the live object of *key*.

        Raises:
            CheckpointMismatch: The script has made no such object by its first boundary.
        """
        found = self.get(key)
        if found is MISSING:
            name = self._table[key][1]
            raise CheckpointMismatch(f"the checkpoint has a {name} at {key!r}, which this script has not made")
        return found

    def get(self, key: str) -> Any:
        """Return the live object of *key* or :data:`MISSING`; no object serves two keys."""
        if key not in self._found:
            self._found[key] = self._look_up(key)
        return self._found[key]

    def is_found(self, live: Any) -> bool:
        """Return whether *live* was asked for by one of the keys."""
        return id(live) in self._claimed

    def _look_up(self, key: str) -> Any:
        _, name, paths = self._table[key]
        for path in paths:
            value = follow(path, self._variables)
            if value is MISSING or class_name(value) != name:
                continue
            if self._claimed.setdefault(id(value), key) == key:
                return value
        return MISSING

    def persistent_load(self, pid: Any) -> Any:
        """Return what the pickler named *pid*."""
        kind = pid[0]
        main = sys.modules["__main__"]
        if kind == "live":
            return self.require(pid[1])
        if kind == "builder":
            return getattr(self, "_build_" + pid[1])
        if kind == "module":
            return importlib.import_module(pid[1])
        if kind in ("main module", "main globals"):
            return main if kind == "main module" else vars(main)
        found = _named(main, pid[1])
        if found is MISSING:
            raise CheckpointMismatch(f"the checkpoint needs {pid[1]!r}, which this script does not define")
        return found

    def _build_own(self, key: str, cls: Any) -> Any:
        found = self.get(key)
        if found is MISSING:
            found = self._found[key] = cls.__new__(cls)
        return found

    def _build_leaf(self, key: str, data: Any, grad: Any, is_parameter: bool) -> Any:
        leaf = self.leaves[key] = Leaf(self.get(key), data, grad, is_parameter)
        if leaf.is_of_one_shape:
            return leaf.live
        made = self._torch.nn.Parameter(data) if is_parameter else data.clone().requires_grad_()
        self._found[key] = made
        made.grad = grad
        return made

    def _build_storage(self, memory: bytes, device: str) -> Any:
        data = self._torch.empty(len(memory), dtype=self._torch.uint8)
        if memory:
            data.copy_(self._torch.frombuffer(bytearray(memory), dtype=self._torch.uint8))
        return self._placed(data, device)

    def _build_large_storage(self, number: int, size: int, device: str) -> Any:
        data = self._torch.empty(size, dtype=self._torch.uint8)
        self._arrays.read_into(number, memory_at(data.data_ptr(), size))
        return self._placed(data, device)

    def _placed(self, data: Any, device: str) -> Any:
        is_here = not device.startswith("cuda") or self._torch.cuda.is_available()
        return data.to(device if is_here else "cpu").untyped_storage()

    def _build_large_array(self, number: int, dtype: Any, shape: Any, order: str) -> Any:
        return self._arrays.read(number, dtype, shape, order)

    def _build_view(self, base: Any, offset: int, shape: Any, strides: Any, dtype: Any) -> Any:
        return sys.modules["numpy"].ndarray(shape, dtype, base, offset, strides)

    _build_atari = staticmethod(simulators.make_atari_environment)
    _build_attributes = staticmethod(simulators.set_attributes)

    def _build_tensor(self, storage: Any, dtype: str, offset: int, shape: Any, stride: Any, requires_grad: bool) -> Any:
        kind = getattr(self._torch, dtype.split(".")[1])
        tensor = self._torch.empty(0, dtype=kind, device=storage.device).set_(storage, offset, shape, stride)
        return tensor.requires_grad_() if requires_grad else tensor


def _named(module: Any, qualname: str) -> Any:
    """Return what *qualname* names in *module*, or :data:`MISSING`."""
    found = module
    for piece in qualname.split("."):
        found = getattr(found, piece, MISSING)
    return found


def bases_among(values: Iterable[Any]) -> FrozenSet[int]:
    """Return the ids of those of *values* that are arrays of which others may be views."""
    numpy: Any = sys.modules.get("numpy")
    arrays = [value for value in values if numpy is not None and type(value) is numpy.ndarray]
    return frozenset(id(array) for array in arrays if array.flags.c_contiguous and not array.dtype.hasobject)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _is_dense(torch: Any, tensor: Any) -> bool:
    return (
        tensor.layout is torch.strided
        and tensor.device.type in _DENSE_DEVICES
        and not (tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
        and not tensor.__dict__
        and hasattr(tensor, "untyped_storage")
    )


def _without_globals(reduced: Any) -> Any:
    """Return cloudpickle's reduction of a function without copies of the globals that it names.

    The script's live globals are there already. Without this, a variable that cannot be pickled would take with it
    every object that holds a function which only mentions it.
    """
    if isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], tuple) and len(reduced[2]) == 2:
        slots = reduced[2][1]
        if isinstance(slots, dict) and "__globals__" in slots:
            slots["__globals__"] = {}
    return reduced
