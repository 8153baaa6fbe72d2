"""How a training process that holds is given another run's weights and hyperparameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.wire import Message

TAKEOVER_TIMEOUT_S = 60.0
_POLL_S = 0.25


@dataclass(frozen=True)
class Takeover:
    """What a training takes over: the checkpoint at *path*, and *hyperparameters*.

    Attributes:
        changes: The keys of the ``set`` command that sets these.
    """

    path: str
    generation: int
    donor: str
    changes: Mapping[str, Any]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


class TakeoverRefused(Exception):
    """The training does not take over what it was to: it goes on with its own weights, in a new process if need be."""


def carry_out(
    takeover: Takeover,
    process: GuardedProcess,
    *,
    hear: Callable[[Message], None],
    clock: Callable[[], float],
) -> bool:
    """Return whether the process has taken over all of it; False where it has died.

    Args:
        takeover: What it is to take over.
        process: Holds at a boundary.
        hear: Takes whatever else it says meanwhile.
        clock: Monotonic, in seconds.

    Raises:
        TakeoverRefused: It does not fit, or the process did not answer in time.
    """
    loaded = _ask(process, "load", path=takeover.path, generation=takeover.generation, hear=hear, clock=clock)
    if loaded is None:
        return False
    if loaded["type"] == "load_failed":
        raise TakeoverRefused(loaded["reason"])
    done = _ask(process, "set", **takeover.changes, hear=hear, clock=clock)
    if done is None:
        return False
    if done["type"] == "set_failed":
        process.end()  # it has the weights already: only a new process is whole again
        raise TakeoverRefused(done["reason"])
    return True


_ANSWERS = {"load": ("loaded", "load_failed"), "set": ("set_done", "set_failed")}


def _ask(
    process: GuardedProcess, command: str, *, hear: Callable[[Message], None], clock: Callable[[], float], **keys: Any
) -> Message | None:
    """Return the process's answer to *command*, None if it dies over it."""
    process.wire.send(command, **keys)
    deadline = clock() + TAKEOVER_TIMEOUT_S
    while process.wire.is_open:
        if clock() > deadline:
            process.end()
            raise TakeoverRefused(f"the training process did not answer in {TAKEOVER_TIMEOUT_S:g} s")
        if message := process.wire.receive(_POLL_S):
            if message.get("type") in _ANSWERS[command]:
                return message
            hear(message)
    return None
