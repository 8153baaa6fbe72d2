"""What the script logs to TensorBoard also goes to the wire, and the event files go where the run wants them.

The writer classes are patched when the script imports them; nothing is imported on its behalf.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import weakref
from pathlib import Path
from time import monotonic
from typing import Any, Callable, Dict, List, Optional

from .import_hook import when_imported
from .wire import Message

_TARGETS = ("torch.utils.tensorboard.writer", "tensorboardX.writer")
_TELL_EVERY_S = 0.2
_EVENT_FILE = "events.out.tfevents."
_LONGEST_WAIT_S = 5.0


class Journal:
    """Holds what was logged until it is sent, and knows the script's TensorBoard writers.

    Args:
        directory: Where event files are to lie, or None to leave that to the script.
    """

    def __init__(self, directory: Optional[str] = None) -> None:
        self.last_step = -1
        self.writers: Any = weakref.WeakSet()
        self._directory = directory
        self._given = 0
        self._purge_step: Optional[int] = None
        self._pending: List[Message] = []
        self._lock = threading.RLock()  # a script without boundaries is asked for its messages by another thread
        self._due = 0.0
        self._position: Callable[[], int] = lambda: 0
        self._send: Callable[..., None] = lambda *messages: None

    def connect(self, position: Callable[[], int], send: Callable[..., None]) -> None:
        """Tell where the script is, and where messages go when a pass takes long."""
        self._position, self._send = position, send

    def take(self) -> List[Message]:
        """Return the messages that were not sent yet; they count as sent."""
        with self._lock:
            pending, self._pending = self._pending, []
            self._due = monotonic() + _TELL_EVERY_S
            return pending

    def resume(self, last_step: int) -> None:
        """Have TensorBoard forget what lies after *last_step*: a killed attempt had logged it."""
        self.last_step = last_step
        self._purge_step = last_step + 1
        for writer in list(self.writers):
            _reopen(writer, self._purge_step)

    def flush_writers(self) -> None:
        """Have every writer put what it has into its file."""
        for writer in list(self.writers):
            if getattr(writer, "all_writers", None):
                writer.flush()

    def install(self) -> None:
        """Patch the writer classes, as soon as the script imports them where they are not imported yet."""
        when_imported(_TARGETS, self._patch)

    def _patch(self, module: Any) -> None:
        cls = getattr(module, "SummaryWriter", None)
        if cls is not None:
            cls.__init__ = self._opening(cls.__init__)
            cls.add_scalar = self._logging(cls.add_scalar, self._add_scalar)
            cls.add_scalars = self._logging(cls.add_scalars, self._add_scalars)
            cls.add_text = self._logging(cls.add_text, self._add_text)

    def _opening(self, original: Any) -> Any:
        """Return an ``__init__`` that opens its files where the run wants them."""

        @functools.wraps(original)
        def opened(writer: Any, *args: Any, **kwargs: Any) -> None:
            asked = args[0] if args else kwargs.get("log_dir") or kwargs.get("logdir")
            if self._directory is not None and not self._is_inside(asked):
                kwargs = {key: value for key, value in kwargs.items() if key not in ("log_dir", "logdir")}
                args = (self._next_directory(), *args[1:])
                _wait_until_after(_event_files(Path(args[0])))
            if self._purge_step is not None and len(args) < 3:
                kwargs.setdefault("purge_step", self._purge_step)
            original(writer, *args, **kwargs)
            self.writers.add(writer)

        return opened

    def _next_directory(self) -> str:
        assert self._directory is not None
        number, self._given = self._given, self._given + 1
        return str(Path(self._directory) / str(number)) if number else self._directory

    def _is_inside(self, asked: Any) -> bool:
        """Return whether *asked* lies in our directory: writers open others below their own, for hyperparameters."""
        assert self._directory is not None
        root = str(Path(self._directory).absolute()) + os.sep
        return bool(asked) and str(Path(str(asked)).absolute()).startswith(root)

    @staticmethod
    def _logging(original: Any, record: Callable[..., None]) -> Any:
        @functools.wraps(original)
        def logged(writer: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(writer, *args, **kwargs)
            record(*args, **kwargs)
            return result

        return logged

    def log(self, step: int, scalars: Dict[str, float]) -> None:
        """Take in what the script has told in another way."""
        self._append("step", self._note_step(step), None, scalars=scalars)

    def _add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: Optional[float] = None, *_: Any, **__: Any
    ) -> None:
        value = as_float(scalar_value)
        if value is None:
            return
        step = self._note_step(global_step)
        with self._lock:
            last = self._pending[-1] if self._pending else {}
            place = (last.get("type"), last.get("step"), last.get("boundary"))
            if place == ("step", step, self._position()) and tag not in last["scalars"]:
                last["scalars"][tag] = value
                return
            self._append("step", step, walltime, scalars={tag: value})

    def _add_scalars(
        self, main_tag: str, tag_scalar_dict: Dict[str, Any], global_step: Any = None, walltime: Any = None
    ) -> None:
        for tag, value in tag_scalar_dict.items():
            self._add_scalar(f"{main_tag}/{tag}", value, global_step, walltime)

    def _add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: Optional[float] = None) -> None:
        self._append("text", self._note_step(global_step), walltime, tag=tag, text=str(text_string))

    def _note_step(self, global_step: Any) -> int:
        step = 0 if global_step is None else int(global_step)
        self.last_step = max(self.last_step, step)
        return step

    def _append(self, kind: str, step: int, walltime: Optional[float], **content: Any) -> None:
        wall_time = time.time() if walltime is None else walltime
        place = {"type": kind, "boundary": self._position(), "step": step}
        with self._lock:
            self._pending.append({**place, **content, "wall_time": wall_time})
            if monotonic() >= self._due and len(self._pending) > 1:
                newest = self._pending.pop()  # more may yet be logged at this step: it is told of in one piece
                self._send(*self.take())
                self._pending.append(newest)


def as_float(value: Any) -> Optional[float]:
    """Return *value* as the number that a writer would log, or None where it is none.

    It may be a number, an array of one element, or a tensor in the middle of a graph.
    """
    try:
        if hasattr(value, "detach"):
            value = value.detach().reshape(-1)[0].item()
        elif hasattr(value, "reshape"):
            value = value.reshape(-1)[0]
        return float(value)
    except (IndexError, TypeError, ValueError):
        return None


def _reopen(writer: Any, purge_step: int) -> None:
    """Go on in a new event file that begins with the order to forget everything from *purge_step* on."""
    if getattr(writer, "all_writers", None):
        preamble = _path_of(writer)
        writer.close()
        directory = Path(str(getattr(writer, "log_dir", None) or getattr(writer, "logdir", "")))
        others = [name for name in _event_files(directory) if directory / name != preamble]
        if preamble is not None and others:
            preamble.unlink()  # what a script logs before its main loop lies in the first attempt's file
        _wait_until_after(_event_files(directory))
        writer.purge_step = purge_step
        writer._get_file_writer()
    writer.purge_step = None if writer.file_writer is not None else purge_step


def _path_of(writer: Any) -> Optional[Path]:
    event_writer = getattr(writer.file_writer, "event_writer", None)
    event_writer = getattr(event_writer, "_ev_writer", event_writer)
    path = getattr(event_writer, "_file_name", None)
    return None if path is None else Path(path)


def _event_files(directory: Path) -> List[str]:
    return sorted(path.name for path in directory.glob(_EVENT_FILE + "*"))


def _wait_until_after(names: List[str]) -> None:
    """Wait until a new event file comes after *names*, all of them earlier ones.

    TensorBoard reads them in the order of their names, which begin with the second; tensorboardX would even open the
    same file again.
    """
    newest = 0
    for name in names:
        second = name[len(_EVENT_FILE) :].split(".")[0]
        newest = max(newest, int(second) if second.isdigit() else 0)
    until = monotonic() + _LONGEST_WAIT_S
    while int(time.time()) <= newest and monotonic() < until:
        time.sleep(0.02)
