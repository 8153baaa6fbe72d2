"""One training process of a probe, spoken to over its wire."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arena_ray.harness
from arena_ray.runner.output import last_lines
from arena_ray.runner.process import GuardedProcess
from arena_ray.runner.verdict import LeftOut
from arena_ray.runner.wire import Message

_HARNESS = Path(arena_ray.harness.__file__).parent
_POLL_S = 0.25


class TrialFailed(Exception):
    """The process cannot go on; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where a checkpoint was written."""

    path: Path
    boundary: int
    step: int


class Trial:
    """A script under the harness. Started by its constructor; :meth:`close` ends it.

    Raises:
        OSError: It could not be started.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, deadline: float) -> None:
        (folder / "work").mkdir(parents=True)
        self._folder = folder
        self._deadline = deadline
        self._output = {stream: folder / f"{stream}.log" for stream in ("stdout", "stderr")}
        harness = ["-u", str(_HARNESS), "--fd", "{fd}", "--attempt", "1", "--tensorboard", str(folder / "tensorboard")]
        words = [command[0], *harness, "--", *command[1:]]
        files = self._output
        self._process = GuardedProcess.start(
            words, cwd=folder / "work", env=env, stdout=files["stdout"], stderr=files["stderr"]
        )
        self.has_looped = False
        self.logged: list[tuple[int, int, dict[str, Any]]] = []
        self.skipped: list[LeftOut] = []

    def send(self, kind: str, **keys: Any) -> None:
        """Send a command."""
        self._process.wire.send(kind, **keys)

    def hear(self, *kinds: str, **content: Any) -> Message:
        """Return the next message of one of *kinds* with this *content*.

        Raises:
            TrialFailed: The process ended, or said nothing of the kind in time.
        """
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TrialFailed(f"took too long: it said nothing of {' or '.join(kinds)} in time")
            message = self._process.wire.receive(min(left, _POLL_S))
            if message is None:
                if not self._process.wire.is_open:
                    raise TrialFailed(self._how_it_ended())
                continue
            self._note(message)
            if message.get("type") in kinds and content.items() <= message.items():
                return message

    def _note(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "step":
            self.logged.append((message["boundary"], message["step"], message["scalars"]))
        elif kind in ("snapshot_saved", "restored"):
            self.skipped += [LeftOut(name=one["name"], why=one["why"]) for one in message.get("skipped") or ()]
        elif kind == "error":
            line = f" (line {message['line']})" if message.get("line") else ""
            raise TrialFailed(f"{message['class']}: {message['message']}{line}")
        elif kind == "boundary":
            self.has_looped = True
        elif kind == "bye":
            raise TrialFailed("it ended" if self.has_looped else "it ended without coming to its main loop")

    def _how_it_ended(self) -> str:
        how = self._process.wait(5.0)
        said = last_lines(self._output["stderr"], 1)
        return f"its process ended with {how}" + (f": {said[0]}" if said else "")

    def held(self) -> Message:
        """Wait until it holds."""
        return self.hear("boundary", held=True)

    def go_to(self, step: int) -> Message:
        """Let it train until its step is at least *step*, or its main loop is over."""
        self.send("grant", until_step=step)
        while True:
            message = self.held()
            if message["ended"] or message["step"] >= step:  # else it was said before the grant
                return message

    def snapshot(self, name: str) -> Place:
        """Have its state written down."""
        path = self._folder / name
        self.send("snapshot", path=str(path))
        answer = self.hear("snapshot_saved", "snapshot_failed")
        if answer["type"] == "snapshot_failed":
            raise TrialFailed(f"no checkpoint of it can be written: {answer['reason']}")
        return Place(path, answer["boundary"], answer["step"])

    def close(self) -> None:
        """End the process and all that it started."""
        self._process.end()
