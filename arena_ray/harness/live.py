"""Live objects by their place in the script's variables: what a restore puts back in place and never replaces.

An optimizer holds parameters, a trainer holds networks, an environment's wrapper holds an object of the script: such
objects must stay the same objects. A checkpoint therefore names them by their paths ("agent", "trainer.actor",
"agent.actor.0.weight"), and a restore looks the paths up among the variables that the new process has made by then.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path as FilePath
from typing import Any, Dict, List, NamedTuple, Tuple

from .variables import MISSING, Path, Variables, path_text

_MOST_ALIASES = 4
_LONGEST_CONTAINER = 1000  # longer ones hold data, not networks; walking them would make every snapshot slow
_PICKLING = ("__new__", "__reduce_ex__", "__reduce__", "__getstate__")
_NAMED_TYPES = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, type)


class Live(NamedTuple):
    """One live object, its kind and every path to it that was found, the first one first."""

    value: Any
    kind: str
    paths: List[Path]


class Leaf(NamedTuple):
    """A bare tensor that needs gradients, as it was read; *live* is this process's, or :data:`MISSING`."""

    live: Any
    data: Any
    grad: Any
    is_parameter: bool

    @property
    def is_of_one_shape(self) -> bool:
        """Return whether what was read can be put into the live tensor."""
        return self.live is not MISSING and bool(self.live.shape == self.data.shape)


class LiveMap:
    """The live objects that are reachable from *variables*, by key.

    A key is the text of the object's first path. Kinds: ``module`` (not inside another), ``part`` (parameter, buffer
    or module inside one), ``optimizer``, ``stateful`` (scheduler, gradient scaler), ``leaf`` (bare tensor that needs
    gradients), ``own`` (object of a class of the script's) and ``fixed`` (held as it is: functions, writers,
    iterators).
    """

    def __init__(self, variables: Variables, *, script_dir: FilePath, fixed: List[Any]) -> None:
        self.by_key: Dict[str, Live] = {}
        self.key_of: Dict[int, str] = {}  # by id; by_key keeps the objects alive
        self._own = OwnClasses(script_dir)
        self._torch: Any = torch_if_used()
        self._fixed = {id(value) for value in fixed}
        self._modules: Dict[int, Tuple[Any, List[Path]]] = {}
        pending: List[Tuple[Path, Any]] = []
        for scope, names in variables.scopes():
            pending.extend((((scope, name),), value) for name, value in names.items())
        pending.reverse()
        seen: Dict[int, Any] = {}
        while pending:
            pending.extend(reversed(self._visit(*pending.pop(), seen)))
        self._add_modules()

    def is_own(self, value: Any) -> bool:
        """Return whether the class of *value* is the script's own."""
        return type(value) in self._own

    def is_fixed(self, value: Any) -> bool:
        """Return whether *value* is held as it is, with no state to put back."""
        return id(value) in self._fixed or is_code(value)

    def _visit(self, path: Path, value: Any, seen: Dict[int, Any]) -> List[Tuple[Path, Any]]:
        """Note *value* if it is live, and return what lies inside it."""
        if id(value) in self.key_of:
            self._add(path, value, "")
            return []
        kind = self._kind(path, value)
        if kind == "module":
            self._modules.setdefault(id(value), (value, []))[1].append(path)
        elif kind:
            self._add(path, value, kind)
        if id(value) in seen or kind in ("fixed", "leaf", "stateful"):
            return []
        inside = self._inside(path, value, kind)
        if inside:
            seen[id(value)] = value
        return inside

    def _kind(self, path: Path, value: Any) -> str:
        torch = self._torch
        if id(value) in self._fixed or (len(path) == 1 and self.is_fixed(value)):
            return "fixed"
        if torch is not None:
            if isinstance(value, torch.nn.Module):
                return "module"
            if isinstance(value, torch.optim.Optimizer):
                return "optimizer"
            if isinstance(value, torch.Tensor):
                return "leaf" if value.requires_grad and value.is_leaf else ""
            if is_stateful(value):
                return "stateful"
        return "own" if type(value) in self._own and has_plain_state(type(value)) else ""

    def _inside(self, path: Path, value: Any, kind: str) -> List[Tuple[Path, Any]]:
        if kind == "module":
            inside: List[Tuple[Path, Any]] = []
            for name, part in value.named_modules():
                at = (*path, ("part", name)) if name else path
                inside.extend(((*at, ("attr", k)), v) for k, v in self.attributes(part).items())
            return inside
        if kind in ("own", "optimizer"):
            inside = [((*path, ("attr", name)), v) for name, v in self.attributes(value).items()]
            for number, group in enumerate(value.param_groups if kind == "optimizer" else ()):
                at = (*path, ("attr", "param_groups"), ("item", number), ("item", "params"))
                inside.extend(((*at, ("item", index)), v) for index, v in enumerate(group["params"]))
            return inside
        if type(value) in (list, tuple) and len(value) <= _LONGEST_CONTAINER:
            return [((*path, ("item", index)), v) for index, v in enumerate(value)]
        if type(value) is dict and len(value) <= _LONGEST_CONTAINER:
            return [((*path, ("item", k)), v) for k, v in value.items() if isinstance(k, (str, int))]
        return []

    def attributes(self, value: Any) -> Dict[str, Any]:
        """Return the attributes of *value* that are the script's, without those that torch itself put there."""
        if not self.is_own(value):
            return {}
        found = dict(getattr(value, "__dict__", {}))
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    found[name] = getattr(value, name)
        torch = self._torch
        if torch is not None and isinstance(value, (torch.nn.Module, torch.optim.Optimizer)):
            theirs = _names_of_torch(torch)
            return {name: item for name, item in found.items() if name not in theirs}
        return found

    def _add_modules(self) -> None:
        """Add the modules once all are known, so that a variable that aliases a layer does not become a root."""
        inner = {id(part) for module, _ in self._modules.values() for part in module.modules() if part is not module}
        for module, paths in self._modules.values():
            if id(module) not in inner:
                for path in paths:
                    self._add(path, module, "module")
        for module, paths in self._modules.values():
            if id(module) not in inner:
                for name, part in parts(module).items():
                    self._add((*paths[0], ("part", name)), part, "part")

    def _add(self, path: Path, value: Any, kind: str) -> None:
        key = self.key_of.get(id(value))
        if key is not None:
            live = self.by_key[key]
            if kind == "part" and live.kind == "leaf":
                del self.by_key[key]  # a variable that aliases a parameter is no leaf of its own
            else:
                if len(live.paths) < _MOST_ALIASES:
                    live.paths.append(path)
                return
        key = path_text(path)
        while key in self.by_key:  # a local and a global variable of one name
            key = "global " + key
        self.by_key[key] = Live(value, kind, [path])
        self.key_of[id(value)] = key


class OwnClasses:
    """The classes that the script defines, or a module that lies beside it."""

    def __init__(self, script_dir: FilePath) -> None:
        self._prefix = str(script_dir) + os.sep
        self._known: Dict[type, bool] = {}

    def __contains__(self, cls: type) -> bool:
        known = self._known.get(cls)
        if known is None:
            known = self._known[cls] = self._is_own(cls)
        return known

    def _is_own(self, cls: type) -> bool:
        if cls.__module__ == "__main__":
            return True
        path = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
        path = str(FilePath(path).absolute()) if path else ""
        return path.startswith(self._prefix) and "site-packages" not in path[len(self._prefix) :]


def is_code(value: Any) -> bool:
    """Return whether *value* is a function, a class or a module."""
    return isinstance(value, _NAMED_TYPES)


def torch_if_used() -> Any:
    """Return torch where the script has imported it, else None."""
    torch = sys.modules.get("torch")
    return torch if hasattr(torch, "optim") and hasattr(torch, "nn") else None


def is_stateful(value: Any) -> bool:
    """Return whether *value* is a learning-rate scheduler or gradient scaler of torch's, or derived from one."""
    homes = ("torch.optim.", "torch.amp.", "torch.cuda.amp.")
    return any(cls.__module__.startswith(homes) for cls in type(value).__mro__) and hasattr(value, "load_state_dict")


def has_plain_state(cls: type) -> bool:
    """Return whether the state of an instance is its attributes and nothing else."""
    return all(getattr(cls, name, None) is getattr(object, name, None) for name in _PICKLING) and not issubclass(
        cls, (BaseException, type)
    )


def parts(module: Any) -> Dict[str, Any]:
    """Return the modules, parameters and buffers inside *module* by their dotted names."""
    found = {name: part for name, part in module.named_modules() if name}
    found.update(tensors(module))
    return found


def tensors(module: Any) -> Dict[str, Any]:
    """Return the parameters and buffers of *module* by their dotted names; a shared one under each of its names.

    Not by ``state_dict``, which the script may have overridden, and which leaves out buffers that are not persistent.
    """
    found: Dict[str, Any] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and not type(tensor).__name__.startswith("Uninitialized"):
                found[prefix + "." + name if prefix else name] = tensor
    return found


def persistent_tensors(module: Any) -> Dict[str, Any]:
    """Return those of :func:`tensors` that belong to the weights: their names are the keys of ``state_dict``."""
    found = tensors(module)
    for prefix, part in module.named_modules(remove_duplicate=False):
        for name in part._non_persistent_buffers_set:
            found.pop(prefix + "." + name if prefix else name, None)
    return found


_torch_names: List[frozenset[str]] = []


def _names_of_torch(torch: Any) -> frozenset[str]:
    """Return the names of the attributes that torch keeps on its modules and optimizers."""
    if not _torch_names:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        names = {*vars(torch.nn.Module()), *vars(optimizer), "step"}
        _torch_names.append(frozenset(names))
    return _torch_names[0]
