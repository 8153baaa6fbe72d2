"""Compare two checkpoints variable by variable. Only for those that this script's own processes have just written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, Dict, List

from . import checkpoint, rng, safetensors_file
from .capture import slot_text
from .fingerprints import Fingerprints
from .large_arrays import ArrayReader
from .live import torch_if_used
from .pickling import Unpickler
from .variables import Variables

_GENERATORS = "random number generators"


class Attributes:
    """Stands for an object that is only looked at: it has the attributes of the one that was pickled."""


class _Reader(Unpickler):
    """Reads a state without touching what is live: live objects are read as their keys."""

    def require(self, key: str) -> Any:
        return "live", key

    def get(self, key: str) -> Any:
        return "live", key

    def _build_leaf(self, key: str, data: Any, grad: Any, is_parameter: bool) -> Any:
        return _Leaf(data, grad)

    @staticmethod
    def _build_atari(cls: Any, args: Any, kwargs: Any, state: Any) -> Any:
        found = Attributes()
        vars(found).update({"made of": (cls, args, kwargs, state)})
        return found


class _Leaf:
    """A bare tensor, which unlike its data can be the key of a dictionary, as in an optimizer's state."""

    def __init__(self, data: Any, grad: Any) -> None:
        self.data, self.grad = data, grad


def differences(first: Path, second: Path, variables: Variables) -> List[str]:
    """Return the names of the variables, and of parts of live objects, in which two checkpoints differ.

    Args:
        first: Directory of a checkpoint.
        second: Directory of another one.
        variables: Of the process that reads them, which runs the same script.

    Raises:
        Exception: Whatever reading a pickle raises.
    """
    generators = rng.capture()  # constructors that run while objects are read may draw from them
    try:
        ours, theirs = _digests(first, variables), _digests(second, variables)
    finally:
        rng.restore(generators)
    found = {**ours, **theirs}
    differing = [found[slot][0] for slot in found if ours.get(slot) != theirs.get(slot)]
    return list(dict.fromkeys(differing))


def _digests(path: Path, variables: Variables) -> Dict[Any, Any]:
    """Return name and digest of each part of the checkpoint, by what tells parts of equal names apart."""
    found: Dict[Any, Any] = {}
    prints = Fingerprints()
    if torch_if_used() is not None:
        for name, tensor in safetensors_file.read((path / checkpoint.POLICY).read_bytes()):
            found["weights", name] = name, prints.of(tensor)
    with (path / checkpoint.STATE).open("rb") as file:
        header = pickle.load(file)
        reader = _Reader(file, header["table"], variables, ArrayReader(path))
        found[_GENERATORS] = _GENERATORS, prints.of(reader.load())
        for slot in header["slots"]:
            name = slot[2] or slot[1]
            found[slot] = slot_text(slot), prints.of_named(name, reader.load())
    return found
