"""The conversation at the boundary: count passes, hold, obey the commands that came down, tell what happened."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from pathlib import Path
from time import monotonic
from typing import Any, Deque, Dict, Iterator, Optional

from . import capture, examination, hyperparameters, loading, restore
from .live import LiveMap
from .mainloop import Instrumented
from .outcomes import Restored, RestoreFailed, SeekFailed, StopTraining
from .passes import CannotSeek, Passes
from .pickling import CheckpointMismatch
from .saving import Saving
from .snapshot import Snapshot, prepare
from .tensorboard import Journal
from .variables import Variables, step_in
from .wire import Message, Wire

_TELL_EVERY_S = 0.2
_PLAIN = (OSError, CheckpointMismatch, CannotSeek, hyperparameters.CannotSet)  # their messages say all


class Session:
    """What the instrumented script calls. One a process.

    Args:
        wire: Where messages go.
        journal: What the script logged, and its TensorBoard writers.
        script: Absolute path of the script.
        attempt: Which attempt of its run this is.
        program: The instrumented script.
    """

    def __init__(self, wire: Wire, journal: Journal, *, script: Path, attempt: int, program: Instrumented) -> None:
        self._wire = wire
        self._journal = journal
        self._script = script
        self._attempt = attempt
        self._writable = program.writable
        self._passes = Passes(program)
        self._saving = Saving(wire.send)
        self._commands: Deque[Message] = deque()
        self._wake = threading.Event()
        self._alert = False
        self._due = 0.0
        self._index = -1  # of the pass that is under way
        self._is_granted = False
        self._is_first = True
        self._until: Optional[int] = None
        self._is_exhausted = False
        self._is_over = False
        self._times_over = 0
        self._is_told = False  # that it holds
        self._ended_checkpoint: Optional[Path] = None
        self._generation = 0  # how many times it has taken over another run's weights, as the run counts them
        self._names: Dict[str, Any] = {}

    # -- called from other threads and from outside the loop

    def receive(self, command: Message) -> None:
        """Take a command that came down; it takes effect at the next boundary."""
        self._commands.append(command)
        self._alert = True
        self._wake.set()

    @property
    def position(self) -> int:
        """The boundary that the script is at, or passed last."""
        is_past = self._index >= 0 and (self._is_over or self._ended_checkpoint is not None)
        return max(self._index, 0) + (1 if is_past else 0)

    def step(self) -> int:
        """Return the script's step as it was when somebody last asked."""
        found = step_in(self._names)
        return self.position if found is None else found

    def close(self) -> None:
        """Wait until the snapshot that is being written, if there is one, is complete and told."""
        self._saving.wait()

    # -- called by the instrumented script

    def iterate(self, iterable: Any) -> Iterator[Any]:
        """Return the iterator of the main loop; the loop runs over it directly, which costs nothing a pass."""
        self._is_exhausted = False
        return self._passes.begin(iterable)

    def boundary(self) -> Optional[Restored]:
        """Begin a pass. Returns the variables to bind after a restore, else None."""
        self._index += 1
        if self._alert or monotonic() >= self._due or (self._until is not None and self._is_reached()):
            return self._attend(Variables(sys._getframe(1), self._writable), is_over=False)
        return None

    def exhausted(self) -> None:
        """Note that the loop ended by its own condition, not by ``break``."""
        self._is_exhausted = True

    def ended(self) -> Optional[Restored]:
        """Hold after the main loop."""
        self._is_over = True
        self._times_over += 1
        variables = Variables(sys._getframe(1), self._writable)
        if self._ended_checkpoint is not None:
            # the loop's condition was evaluated once more on the way here and may have changed something
            path, self._ended_checkpoint = self._ended_checkpoint, None
            found = Restored(restore.restore(path, variables, advance=lambda: None))
            variables.locals.update(found)
            self._attend(variables, is_over=True)
            return found
        return self._attend(variables, is_over=True)

    # -- holding

    def _is_reached(self) -> bool:
        frame = sys._getframe(2)
        step = None if self._writable is None else step_in(frame.f_locals)
        if step is None:
            step = step_in(frame.f_globals)
        return (self._index if step is None else step) >= (self._until or 0)

    def _attend(self, variables: Variables, *, is_over: bool) -> Optional[Restored]:
        """Obey what came down, hold if there is no grant, and tell where the script is."""
        self._is_over = is_over  # false again where a script enters its main loop once more
        self._names = {**variables.globals, **variables.locals} if variables.locals else variables.globals
        restored = self._obey_all(variables, None)
        if is_over:
            self._is_granted = False  # what was granted before was for the loop
        self._is_told = has_held = False
        while True:
            step = variables.step(self.position)
            if self._is_granted and (self._until is None or step < self._until):
                break
            has_held, self._is_granted = True, False
            if not self._is_told:
                self._tell(step, held=True)
                self._is_told = True
            self._wake.wait()
            self._wake.clear()
            restored = self._obey_all(variables, restored)
        self._is_first = False
        if not has_held and monotonic() >= self._due:
            self._tell(step, held=False)
        return restored

    def _send(self, message: Message) -> None:
        """Send *message* after all that was logged before it."""
        self._wire.send(*self._journal.take(), message)

    def _tell(self, step: int, *, held: bool) -> None:
        place = {"boundary": self.position, "step": step, "wall_time": time.time()}
        state = {"held": held, "ended": self._is_over, "generation": self._generation}
        self._send({"type": "boundary", **place, **state})
        self._due = monotonic() + _TELL_EVERY_S

    def _obey_all(self, variables: Variables, restored: Optional[Restored]) -> Optional[Restored]:
        self._alert = False  # before the queue is read: a command that comes meanwhile raises it again
        while self._commands:
            command = self._commands.popleft()
            kind = command.get("type")
            if kind == "grant":
                self._is_granted, self._until = True, command.get("until_step")
                self._is_told = False  # should it hold all the same, whoever granted wants to know
            elif kind == "hold":
                self._is_granted = False
            elif kind == "stop":
                raise StopTraining
            elif kind == "snapshot":
                self._snapshot(command, variables)
            elif kind == "restore":
                restored = self._restore(Path(str(command.get("path"))), variables)
            elif kind == "seek":
                restored = self._seek(Path(str(command.get("path"))), command.get("total_steps"), variables)
            elif kind == "load":
                self._load(command, variables)
            elif kind == "set":
                self._set(command, variables)
            elif kind in examination.COMMANDS:
                self._send(examination.answer(command, variables, self._live_map(variables)))
        return restored

    # -- another run's weights, other hyperparameters

    def _load(self, command: Message, variables: Variables) -> None:
        began, path, generation = monotonic(), str(command.get("path")), command.get("generation", 0)
        place = {"path": path, "generation": generation, "boundary": self.position}
        try:
            self._require_loop()
            loading.load(Path(path), variables, self._live_map(variables))
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with the other run's checkpoint, this one trains on
            self._send({"type": "load_failed", **place, "reason": _reason(exc)})
            return
        self._generation = generation
        self._saving.forget()
        self._send({"type": "loaded", **place, "step": variables.step(self.position), "seconds": monotonic() - began})

    def _set(self, command: Message, variables: Variables) -> None:
        try:
            self._require_loop()
            hyperparameters.set_live(command.get("attributes") or {}, command.get("groups") or {}, variables)
        except Exception as exc:  # noqa: BLE001 - attributes of the script run code of the script
            self._send({"type": "set_failed", "boundary": self.position, "reason": _reason(exc)})
            return
        self._saving.forget()
        self._send({"type": "set_done", "boundary": self.position, "step": variables.step(self.position)})

    def _require_loop(self) -> None:
        if self._ended_checkpoint is not None:  # whose state is put back once more, after the loop
            raise RuntimeError("the main loop of this run is over")

    # -- checkpoints

    def _snapshot(self, command: Message, variables: Variables) -> None:
        began, step = monotonic(), variables.step(self.position)
        path = Path(str(command.get("path")).replace("{step}", f"{step:012d}"))
        policy = command.get("replay_buffer", "auto")
        place = {"boundary": self.position, "step": step, "last_step": self._journal.last_step}
        place.update(ended=self._is_over, generation=self._generation)
        self._journal.flush_writers()
        self._wire.send(*self._journal.take())
        self._saving.take(path, place, began, lambda: self._capture(path, place, policy, variables))

    def _capture(self, path: Path, place: Dict[str, Any], policy: str, variables: Variables) -> Snapshot:
        if self._times_over > (1 if self._is_over else 0):
            raise RuntimeError("the script entered its main loop a second time: only the first can be resumed")
        state = capture.take(variables, self._live_map(variables))
        meta = {**place, "exhausted": self._is_exhausted, "passes": self._passes.at(self.position)}
        meta["attempt"] = self._attempt
        previous = None if policy == "always" else self._saving.previous
        return prepare(state, meta, path=path, script=self._script, previous=previous, replay_buffer=policy)

    def _restore(self, path: Path, variables: Variables) -> Restored:
        began = monotonic()
        self._require_start("restore", path)
        try:
            meta = restore.read_meta(path)
            found = Restored(restore.restore(path, variables, advance=lambda: self._passes.resume(meta)))
        except Exception as exc:
            raise RestoreFailed(f"cannot restore {path}: {exc}") from exc
        variables.locals.update(found)
        self._continue(meta)
        self._saving.previous = path
        if meta["ended"]:
            self._index -= 1  # the loop is left from its last pass
            self._ended_checkpoint = path
            found.end = "exhausted" if meta["exhausted"] else "left"
        place = {key: meta[key] for key in ("boundary", "step", "last_step", "ended", "skipped")}
        self._send({"type": "restored", "path": str(path), **place, "seconds": monotonic() - began})
        return found

    def _seek(self, path: Path, total: Optional[int], variables: Variables) -> Restored:
        """Go on where the checkpoint was written, without its state: it is of a process with other flags."""
        self._require_start("seek", path)
        try:
            meta = restore.read_meta(path)
            if meta["ended"]:
                raise CannotSeek("the main loop was over there")
            names = self._passes.seek(variables, step=meta["step"], total=total, boundary=meta["boundary"])
            found = Restored(variables.bind(names))
        except Exception as exc:
            raise SeekFailed(f"cannot go on at the step of {path}: {_reason(exc)}") from exc
        self._continue(meta)
        self._send({"type": "sought", "path": str(path), "boundary": self.position, "step": variables.step(0)})
        return found

    def _require_start(self, command: str, path: Path) -> None:
        if not self._is_first or self._index != 0 or self._is_over:
            raise RestoreFailed(f"cannot {command} {path} at boundary {self.position}: only at the first boundary")

    def _continue(self, meta: Dict[str, Any]) -> None:
        """Count on from where the checkpoint was written."""
        self._is_told = False
        self._index = meta["boundary"]
        self._generation = meta.get("generation", 0)  # older checkpoints know of none
        self._journal.resume(meta["last_step"])

    def _live_map(self, variables: Variables) -> LiveMap:
        fixed = [*self._journal.writers, *self._passes.iterators]
        return LiveMap(variables, script_dir=self._script.parent, fixed=fixed)


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, _PLAIN) else f"{type(exc).__name__}: {exc}"
