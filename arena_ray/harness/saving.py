"""Take snapshots at boundaries, one at a time, and tell how each went once it is written."""

from __future__ import annotations

import threading
from pathlib import Path
from time import monotonic
from typing import Any, Callable, Dict, Optional

from . import background, checkpoint
from .snapshot import Snapshot
from .wire import Message

SMALL_BYTES = 1 << 20
"""A state of which no more was written the last time is pickled sooner than a process can be forked."""

Place = Dict[str, Any]
"""Of a boundary: the keys ``boundary``, ``step``, ``last_step``, ``ended`` and ``generation``."""


class Saving:
    """The snapshots of one process.

    Args:
        send: Sends a message up; called on a thread too. What was logged before a snapshot has been sent by then.
        hung_after_s: A forked child that does nothing for so long is given up, and no other one is made.
    """

    def __init__(self, send: Callable[[Message], None], *, hung_after_s: float = background.HUNG_AFTER_S) -> None:
        self._send = send
        self._hung_after_s = hung_after_s
        self._thread: Optional[threading.Thread] = None
        self._may_fork = True
        self._is_small = False  # not known before the first
        self._place: Optional[Place] = None  # of the newest snapshot, while the state is still that of it
        self._answer: Message = {}
        self.previous: Optional[Path] = None
        """The newest complete checkpoint: large arrays that have not changed since are shared with it."""

    def forget(self) -> None:
        """Take in that the state has changed, though the boundary is the same."""
        self._place = None

    def take(self, path: Path, place: Place, began: float, capture: Callable[[], Snapshot]) -> None:
        """Have what *capture* returns written to *path*, and tell of it when that has happened.

        One that is being written is waited for: a snapshot never overtakes another. The same state is not written
        twice; whoever asks again is told of the first.
        """
        self.wait()
        if place == self._place and (Path(self._answer["path"]) / checkpoint.MANIFEST).exists():
            self._send(self._answer)
            return
        self._place = None
        try:
            may_fork = self._may_fork and not self._is_small
            writing = background.start(capture(), may_fork=may_fork, hung_after_s=self._hung_after_s)
        except Exception as exc:  # noqa: BLE001 - a full disk or a strange object must not end the training
            self._tell(path, place, background.failure(exc), {})
            return
        self._place = place
        clock = {"began": began, "stall_s": monotonic() - began}
        arguments = (path, place, writing, clock)
        self._thread = threading.Thread(target=self._await, args=arguments, name="arena-saving", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return once nothing is being written any more, and all was told."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _await(self, path: Path, place: Place, writing: background.Writing, clock: Dict[str, float]) -> None:
        try:
            result = writing.wait()
        except Exception as exc:  # noqa: BLE001 - whatever happened to the child, the training goes on
            result = background.failure(exc)
        self._may_fork = self._may_fork and not writing.hung
        self._tell(path, place, result, clock)

    def _tell(self, path: Path, place: Place, result: background.Result, clock: Dict[str, float]) -> None:
        if "reason" in result:
            self._place = None
            reason = {"reason": result["reason"], "errno": result["errno"]}
            self._send({"type": "snapshot_failed", "path": str(path), "boundary": place["boundary"], **reason})
            return
        self.previous = path
        self._is_small = result["size_bytes"] <= SMALL_BYTES
        times = {"stall_s": clock["stall_s"], "seconds": monotonic() - clock["began"]}
        saved = {"type": "snapshot_saved", "path": str(path), "skipped": result["skipped"]}
        self._answer = {**saved, **place, **result, **times}
        self._send(self._answer)
