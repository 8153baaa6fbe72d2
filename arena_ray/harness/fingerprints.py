"""Digests of Python objects that are equal where the objects hold the same, bit for bit, and differ elsewhere.

What tells of the clock counts as equal: it differs between two trainings that are alike in all else.
"""

from __future__ import annotations

import hashlib
import sys
import time
import types
from typing import Any, Dict, Iterable, List, Tuple

from . import simulators
from .live import has_plain_state
from .variables import class_name

_DAY_S = 86400.0
_OF_THE_CLOCK = frozenset(
    {
        "duration",
        "elapsed",
        "episode_start_time",
        "episode_start_times",
        "fps",
        "sps",
        "start_time",
        "t",  # in RecordEpisodeStatistics' information on an episode; where it is a whole number, it is a step
        "time_elapsed",
        "time_queue",
        "wall_time",
    }
)
_SPEEDS = frozenset({"fps", "sps"})  # which scripts round to whole numbers
_PLAIN = (type(None), bool, int, complex, str, bytes, bytearray)


class Fingerprints:
    """Makes digests; remembers those of objects that it has seen, and keeps these alive."""

    def __init__(self) -> None:
        self._known: Dict[int, Tuple[Any, str]] = {}
        self._now = time.time()
        self._torch: Any = sys.modules.get("torch")
        self._numpy: Any = sys.modules.get("numpy")

    def of(self, value: Any) -> str:
        """Return the digest of *value*.

        Raises:
            Exception: Whatever its class raises that cannot be taken apart.
        """
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        if isinstance(value, float) and abs(value - self._now) < _DAY_S:
            return "a moment"
        if isinstance(value, float):
            return value.hex()
        if type(value) in _PLAIN:
            return _digest(type(value).__name__, repr(value))
        self._known[id(value)] = value, "itself"  # what it holds may hold it
        found = _digest(*self._parts(value))
        self._known[id(value)] = value, found
        return found

    def of_named(self, name: str, value: Any) -> str:
        """Return the digest of *value*, which goes by *name*: names tell what is of the clock."""
        return "of the clock" if self._is_of_the_clock(name, value) else self.of(value)

    def _parts(self, value: Any) -> Iterable[str]:
        if self._torch is not None and isinstance(value, self._torch.Tensor):
            # Not whether a gradient is to come: a loss of an earlier pass has lost its graph in a restored process.
            memory = value.detach().cpu().contiguous().reshape(-1).view(self._torch.uint8)
            return ["tensor", str(value.dtype), str(tuple(value.shape)), _bytes_digest(memory.numpy().tobytes())]
        if self._numpy is not None and isinstance(value, (self._numpy.ndarray, self._numpy.generic)):
            if value.dtype.hasobject:
                return ["objects", str(value.shape), *map(self.of, value.ravel().tolist())]
            return ["array", str(value.dtype), str(value.shape), _bytes_digest(value.tobytes())]
        if isinstance(value, dict):
            pairs = [self.of(key) + self.of_named(_text(key), item) for key, item in value.items()]
            return [type(value).__name__, *sorted(pairs)]
        if isinstance(value, (set, frozenset)):
            return [type(value).__name__, *sorted(map(self.of, value))]
        if isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
            return [type(value).__name__, *map(self.of, value)]
        if isinstance(value, types.FunctionType) and "<" in value.__qualname__:  # one that has no name to go by
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            return [value.__qualname__, repr(value.__code__.co_code), self.of(value.__defaults__), self.of(cells)]
        if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)):
            return ["name", str(getattr(value, "__module__", "")), getattr(value, "__qualname__", value.__name__)]
        return self._parts_of_object(value)

    def _parts_of_object(self, value: Any) -> Iterable[str]:
        simulated = simulators.quantities(value)
        if simulated is not None:
            return [class_name(value), self.of(simulated)]
        attributes = dict(getattr(value, "__dict__", {}))
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                    attributes[name] = getattr(value, name)
        if attributes and has_plain_state(type(value)):
            return [class_name(value), self.of(attributes)]
        try:
            reduced = value.__reduce_ex__(4)  # what its class keeps outside of the attributes
        except Exception:  # of anybody's class; its attributes must do then
            if not attributes:
                raise
            return [class_name(value), self.of(attributes)]
        pieces = [reduced] if isinstance(reduced, str) else list(reduced)
        rest: List[Any] = [list(piece) if hasattr(piece, "__next__") else piece for piece in pieces]
        return [class_name(value), self.of(attributes), *map(self.of, rest)]

    def _is_of_the_clock(self, name: str, value: Any) -> bool:
        name = name.lower().lstrip("_").rpartition("/")[2]
        if name not in _OF_THE_CLOCK:
            return False
        kind = getattr(getattr(value, "dtype", None), "kind", None)
        is_time = isinstance(value, float) or kind == "f" or type(value).__name__ == "deque"
        return is_time or (name in _SPEEDS and isinstance(value, int))


def _text(key: Any) -> str:
    return key if isinstance(key, str) else ""


def _bytes_digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(*parts: str) -> str:
    summed = hashlib.sha256()
    for part in parts:
        summed.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return summed.hexdigest()
