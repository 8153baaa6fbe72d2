"""A plugin's process that is called again and again to look at something: a run that trains, a proposed revision."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arena_ray.model.errors import PluginMistake
from arena_ray.runner.wire import Message
from arena_ray.scheduling.conversation import Host
from arena_ray.scheduling.plugin_port import Call

LOOK_S = 0.2


@dataclass(frozen=True)
class Verdict:
    """What the function said of what it was shown; or, in *failure*, why it said nothing."""

    said: tuple[str, ...] = ()
    failure: str | None = None

    def on_run(self) -> tuple[str, str]:
        """Return what is to become of the run that it is about, and why: ``continue``, ``stop`` or ``pause``.

        Raises:
            PluginMistake: It says none of these.
        """
        word, *why = self.said or ("continue",)
        if word not in ("continue", "stop", "pause"):
            raise PluginMistake(f"it said {word!r} of a run, which is none of continue, stop and pause")
        return word, "; ".join(why)


class Looking:
    """Shows a plugin's function one thing after the other. One at a time is shown.

    Args:
        host: The process, which has not been told anything yet.
        begin: What it is told first.
        carry_out: Carries out what the function calls meanwhile, and returns answer and error.
        timeout_s: How long the function may take to look; the process is ended then.
    """

    def __init__(
        self,
        host: Host,
        *,
        begin: Mapping[str, Any],
        carry_out: Callable[[Call], tuple[Any, dict[str, str] | None]],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._carry_out = carry_out
        self._timeout_s = timeout_s
        self._clock = clock
        self._numbers = itertools.count()
        self._verdicts: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        self._asked: int | None = None
        self._asked_at = 0.0
        self._failure: Exception | None = None
        self._was_killed = False
        host.wire.send("begin", **begin)
        self._thread = threading.Thread(target=self._converse, name="looking plugin", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether the function is looking at something."""
        return self._asked is not None

    @property
    def is_alive(self) -> bool:
        """Whether the process is there. One that was killed says nothing more that counts."""
        return self._thread.is_alive() and not self._was_killed

    def show(self, context: Mapping[str, Any], *, occasion: str) -> None:
        """Let the function look.

        Args:
            context: What of its context is new.
            occasion: What the names of its notes begin with.
        """
        assert self._asked is None, "the function is still looking at something else"
        self._asked, self._asked_at = next(self._numbers), self._clock()
        self._host.wire.send("look", look=self._asked, context=dict(context), occasion=occasion)

    def poll(self) -> Verdict | None:
        """Return what the function has said of the last thing, once; None as long as it looks.

        Raises:
            Exception: What carrying out one of its calls has raised.
        """
        if self._failure is not None:
            raise self._failure
        if self._asked is None:
            return None
        try:
            verdict = self._verdicts.get_nowait()
        except queue.Empty:
            if self._clock() - self._asked_at < self._timeout_s:
                return None
            self.kill()
            verdict = Verdict(failure=f"it took longer than {self._timeout_s:g} s to look")
        self._asked = None
        return verdict

    def wait(self) -> Verdict:
        """Return what the function says of the last thing, once it does."""
        while (verdict := self.poll()) is None:
            time.sleep(0.002)
        return verdict

    def _converse(self) -> None:
        try:
            reason = self._answer_until_its_end()
            self._verdicts.put(Verdict(failure=reason))
        except Exception as exc:  # noqa: BLE001 - raised again by poll, in the thread that asks
            self._failure = exc
        finally:
            self._host.end(grace_s=0.5)

    def _answer_until_its_end(self) -> str:
        wire = self._host.wire
        while True:
            message = wire.receive(LOOK_S)
            if message is None:
                if wire.is_open:
                    continue
                return f"its process ended without a word: {self._host.end()}"
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "call":
                self._answer(message)
            elif kind == "looked" and message.get("look") == self._asked:
                self._verdicts.put(verdict_of(message))
            elif kind == "ended":
                return str(message.get("reason") or "its process has ended")

    def _answer(self, message: Message) -> None:
        try:
            call = Call(number=None, method=str(message["method"]), arguments=message["arguments"])
        except (KeyError, ValueError):
            return
        answer, error = self._carry_out(call)
        self._host.wire.send("answer", number=message.get("number"), answer=answer, error=error)

    def stop(self) -> None:
        """Tell the function that nobody wants it any more."""
        self._host.wire.send("stop")

    def kill(self) -> None:
        """End the process."""
        self._was_killed = True
        self._host.kill()


def verdict_of(message: Message) -> Verdict:
    """Return what the plugin's process has told."""
    if message.get("failure") is not None:
        return Verdict(failure=str(message["failure"]))
    said = message.get("verdict")
    several = said if isinstance(said, list) else [said]
    return Verdict(tuple(str(each) for each in several if each is not None))
