"""The passes of the main loop: how many there were, and how a new process is moved to one that it has not made."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from .mainloop import Instrumented
from .pickling import CheckpointMismatch
from .variables import Variables, iterated


class CannotSeek(Exception):
    """The script cannot be moved to this step."""


class Passes:
    """The iterator of the main loop, where it has one; it has yielded one value to get to boundary 0.

    Passes are those of the script's own loop. Boundaries are the run's: where it started anew with other flags their
    count goes on, while the loop has more or fewer passes than before.
    """

    def __init__(self, program: Instrumented) -> None:
        self._is_async = program.loop.kind == "async for"
        self._target = program.target
        self._iterable: Any = None
        self._iterator: Any = None
        self._lead = 0  # of the boundaries over the passes

    def begin(self, iterable: Any) -> Iterator[Any]:
        """Return the iterator of *iterable*."""
        iterator: Iterator[Any] = iter(iterable)
        self._iterable, self._iterator = iterable, iterator
        return iterator

    def at(self, boundary: int) -> int:
        """Return the number of passes at *boundary*."""
        return boundary - self._lead

    @property
    def iterators(self) -> List[Any]:
        """What the loop goes over: moved by what is done here, so that no state of it is put back besides."""
        return [] if self._iterator is None else iterated(self._iterable, self._iterator)

    def resume(self, meta: Dict[str, Any]) -> None:
        """Move the iterator to where it was when the checkpoint with this *meta* was written.

        Raises:
            RuntimeError: It cannot be moved.
            CheckpointMismatch: It ends before.
        """
        passes = meta.get("passes", meta["boundary"])  # older checkpoints know of no difference
        self._lead = meta["boundary"] - passes
        if self._is_async:
            raise RuntimeError("the main loop is an 'async for', whose iterator cannot be moved")
        if self._iterator is None:
            return
        for passed in range(passes - (1 if meta["ended"] else 0)):
            try:
                next(self._iterator)
            except StopIteration:
                raise CheckpointMismatch(
                    f"the main loop has only {passed + 1} passes, the checkpoint was written at {passes}"
                ) from None
        if meta["ended"] and meta["exhausted"]:
            for _ in self._iterator:
                pass

    def seek(self, variables: Variables, *, step: int, total: Optional[int], boundary: int) -> Dict[str, Any]:
        """Move the script to *step*, and count on from *boundary*.

        Args:
            variables: Those at the first boundary.
            step: The step to go on from.
            total: How many steps the script takes in all; None where that is not known.
            boundary: The run's boundary there.

        Returns:
            The variables that are to be bound: the step, and what the loop binds.

        Raises:
            CannotSeek: The script does not count its steps in a variable, or it cannot be told at which pass of the
                loop the step is.
        """
        name = variables.step_name()
        if name is None:
            raise CannotSeek("the script counts its steps in no variable that could be set")
        if self._is_async:
            raise CannotSeek("the main loop is an 'async for', whose iterator cannot be moved")
        if self._iterator is None:
            return {name: step}
        if self._target == name:
            passes, step = self._seek_step(step, variables.step(0))
            found = {name: step}
        else:
            passes, bound = self._seek_share(step, total)
            found = {**bound, name: step}
        self._lead = boundary - passes
        return found

    def _seek_step(self, step: int, value: int) -> Tuple[int, int]:
        """Move a loop that counts the steps itself; return passes and the first of its steps that is no smaller."""
        passes = 0
        while value < step:
            before, value = value, self._next(f"step {step}")
            passes += 1
            if not isinstance(value, int) or value <= before:
                raise CannotSeek(f"the main loop's {self._target} does not count up to step {step}")
        return passes, value

    def _seek_share(self, step: int, total: Optional[int]) -> Tuple[int, Dict[str, Any]]:
        """Move a loop that makes its way in passes by the same share; return passes and what the last of them binds."""
        length = _length(self._iterable)
        if length is None:
            kind = type(self._iterable).__name__
            raise CannotSeek(f"the main loop goes over a {kind}, which does not say how many passes it has")
        if not total:
            raise CannotSeek("the script has no flag that says how many steps it takes in all")
        passes = step * length // total
        if not passes:
            return 0, {}
        if self._target is None:
            raise CannotSeek("the main loop binds more than one variable in each pass")
        for number in range(passes):
            value = self._next(f"pass {number + 1}")
        return passes, {self._target: value}

    def _next(self, goal: str) -> Any:
        try:
            return next(self._iterator)
        except StopIteration:
            raise CannotSeek(f"the main loop ends before {goal}") from None


def _length(iterable: Any) -> Optional[int]:
    """Return how many values *iterable* has where it says so; a progress bar of rich is asked for what it shows."""
    frame = getattr(iterable, "gi_frame", None)
    if frame is not None and frame.f_globals.get("__name__") == "rich.progress":
        iterable = frame.f_locals.get("sequence")
    try:
        return len(iterable)
    except TypeError:
        return None
