"""Reads the resume state of a checkpoint into plain values, so that two can be compared without running a script.

Knows the layout of ``resume/state.pkl`` (arena_ray/harness/capture.py): a header, the generators, then one pickle for
each slot, all in one stream. Objects of the script become bags of attributes, live objects their keys.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

# What tells of the clock, and so differs between two equal trainings.
CLOCK = {"start_time", "episode_start_time", "time_queue", "t", "sps", "run_name", "writer"}


class Bag:
    """An object of the script, by its attributes."""


class _Reader(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        if pid[0] == "builder":
            return getattr(self, f"_{pid[1]}")
        if pid[0] == "main":
            return type(pid[1], (Bag,), {})
        return {} if pid[0] == "main globals" else ("reference", *pid)

    @staticmethod
    def _own(key: str, cls: Any) -> Bag:
        return Bag()

    @staticmethod
    def _leaf(key: str, data: Any, grad: Any, is_parameter: bool) -> Any:
        leaf: Any = Bag()  # which, unlike its data, can be the key of a dictionary, as in an optimizer's state
        leaf.data, leaf.grad = data, grad
        return leaf

    @staticmethod
    def _view(base: Any, offset: int, shape: Any, strides: Any, dtype: Any) -> Any:
        return np.ndarray(shape, dtype, base, offset, strides)

    @staticmethod
    def _storage(memory: bytes, device: str) -> bytes:
        return memory

    @staticmethod
    def _tensor(memory: bytes, dtype: str, offset: int, shape: Any, stride: Any, requires_grad: bool) -> Any:
        # Only what the tensor shows of its memory: a mean over a batch lies in the batch's memory, whose rest is noise.
        # And not whether it has a gradient to come: a loss of an earlier pass has lost its graph in a restored process.
        seen = (
            torch.frombuffer(bytearray(memory), dtype=getattr(torch, dtype.split(".")[1])) if memory else torch.empty(0)
        )
        return ("tensor", dtype, seen.as_strided(shape, stride, offset).numpy())


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Return the generators and every captured value of the checkpoint by its slot."""
    with (checkpoint / "resume" / "state.pkl").open("rb") as file:
        header = pickle.load(file)
        reader = _Reader(file)
        state = {"generators": reader.load()}
        for slot in header["slots"]:
            state["/".join(slot)] = reader.load()
    return state


def plain(value: Any, seen: frozenset[int] = frozenset()) -> Any:
    """Return *value* as nested tuples of values that compare bit for bit."""
    if id(value) in seen:
        return "…"
    seen |= {id(value)}
    if isinstance(value, np.ndarray | np.generic):
        return (
            (str(value.dtype), value.shape, value.tobytes()) if value.dtype != object else plain(value.tolist(), seen)
        )
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, dict):
        kept = ((key, item) for key, item in value.items() if not (isinstance(key, str) and _is_of_the_clock(key)))
        return tuple(sorted(((repr(plain(key, seen)), plain(item, seen)) for key, item in kept), key=repr))
    if isinstance(value, list | tuple | set | frozenset) or type(value).__name__ == "deque":
        return (type(value).__name__, *(plain(item, seen) for item in value))
    if value is None or isinstance(value, str | bytes | int | complex | type):
        return repr(value)
    inside = vars(value) if hasattr(value, "__dict__") else getattr(value, "__getstate__", lambda: repr(value))()
    return (type(value).__name__, plain(inside, seen))


def _is_of_the_clock(name: str) -> bool:
    return name.rpartition("/")[2] in CLOCK


def differences(first: Path, second: Path) -> list[str]:
    """Return the slots in which two checkpoints differ."""
    ours, theirs = read_state(first), read_state(second)
    slots = [slot for slot in {**ours, **theirs} if not _is_of_the_clock(slot)]
    return [
        slot for slot in slots if slot not in ours or slot not in theirs or plain(ours[slot]) != plain(theirs[slot])
    ]
