"""Which variables hold a replay buffer, for those who do not want it in their checkpoints."""

from __future__ import annotations

import re
import sys
from collections import deque
from itertools import islice
from typing import Any, Iterator, Set

from .capture import Slot, State, slot_text

LEFT_OUT_FROM_BYTES = 256 << 10
"""Smaller ones are kept: leaving them out would save nothing."""

_WORDS = re.compile(r"replay|buffer", re.IGNORECASE)
_DEEPEST = 3
_MOST_ITEMS = 100_000


def leave_out(state: State) -> None:
    """Leave the replay buffers of *state* out, and name each in what was skipped.

    A replay buffer is what is called so, by its variable or its class, and holds much data in arrays.
    """
    buffers = {id(value): slot for slot, value in state.values.items() if _is_replay_buffer(slot, value)}
    own = {state.live_map.key_of[buffer] for buffer in buffers if buffer in state.live_map.key_of}
    for slot, value in list(state.values.items()):
        section, key, _ = slot
        if id(value) in buffers or (section == "own" and key in own):
            del state.values[slot]
    for slot in buffers.values():
        why = "a replay buffer; the experiment file says checkpoint.replay_buffer: never"
        state.skipped.append({"name": slot_text(slot), "why": why})


def _is_replay_buffer(slot: Slot, value: Any) -> bool:
    if slot[0] in ("state", "statistics") or isinstance(value, (str, bytes, int, float, type(None))):
        return False
    is_called_so = _WORDS.search(slot[2]) or _WORDS.search(type(value).__qualname__)
    if not is_called_so or isinstance(value, _modules()):
        return False
    size = 0
    for array in _arrays(value, _DEEPEST, set()):
        size += int(array.nbytes)
        if size >= LEFT_OUT_FROM_BYTES:
            return True
    return False


def _modules() -> Any:
    """Return the class of networks: one that is called a buffer is no buffer."""
    torch: Any = sys.modules.get("torch")
    return torch.nn.Module if hasattr(torch, "nn") else ()


def _arrays(value: Any, depth: int, seen: Set[int]) -> Iterator[Any]:
    """Yield the arrays and tensors in *value*, down to *depth*."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if type(value).__module__.split(".")[0] in ("numpy", "torch"):
        if hasattr(value, "nbytes"):
            yield value
        return
    if not depth:
        return
    if isinstance(value, (list, tuple, deque)):
        inside: Any = value
    elif isinstance(value, dict):
        inside = value.values()
    else:
        inside = getattr(value, "__dict__", {}).values()
    for item in islice(inside, _MOST_ITEMS):
        yield from _arrays(item, depth - 1, seen)
