"""Observations as they come over HTTP, checked against the space that the policy was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from arena_ray.model.errors import BadObservation
from arena_ray.serving.spaces import Box

MOST_IN_A_BATCH = 4096


class ObservationCheck:
    """Turns JSON values into arrays of one observation space, or says what is wrong with them."""

    def __init__(self, space: Box) -> None:
        self._shape = tuple(space.shape)
        self._dtype = np.dtype(space.dtype)
        shape = list(self._shape)
        one, many = _shown(self._shape), "[" + ", ".join(["n", *map(str, shape)]) + "]"
        self.expected = f"{space.dtype} of shape {one}, or a batch of shape {many}"

    def __call__(self, value: Any) -> tuple[Any, bool]:
        """Return *value* as an array ``[n, *shape]``, and whether it was a batch.

        Raises:
            BadObservation: It has another shape, is not made of numbers of the type, or holds NaN or an infinity.
        """
        array = self._array(value)
        is_batch = array.ndim == len(self._shape) + 1
        if (array.shape[1:] if is_batch else array.shape) != self._shape:
            raise self._refused(f"shape {_shown(array.shape)}")
        if not is_batch:
            array = array[np.newaxis]
        if not 0 < len(array) <= MOST_IN_A_BATCH:
            raise self._refused(f"a batch of {len(array)}; 1 to {MOST_IN_A_BATCH} are taken at once")
        return array, is_batch

    def _array(self, value: Any) -> Any:
        try:
            array = np.asarray(value)
        except (ValueError, OverflowError) as exc:
            raise self._refused("lists of unequal length") from exc
        if array.dtype.kind not in ("iuf" if self._dtype.kind == "f" else "iu") and array.size:
            raise self._refused(_named(array))
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self._refused("NaN" if np.isnan(array).any() else "an infinity")
        return self._in_range(array)

    def _in_range(self, array: Any) -> Any:
        with np.errstate(over="ignore"):
            converted = array.astype(self._dtype)
        is_kept = np.isfinite(converted).all() if self._dtype.kind == "f" else np.array_equal(converted, array)
        if not is_kept:
            raise self._refused(f"a number that no {self._dtype} can hold")
        return converted

    def _refused(self, got: str) -> BadObservation:
        return BadObservation(expected=self.expected, got=got)


def _shown(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _named(array: Any) -> str:
    kinds = {"b": "truth values", "U": "text", "S": "text", "f": "numbers with a fraction"}
    return kinds.get(array.dtype.kind, "something that is not a number")
