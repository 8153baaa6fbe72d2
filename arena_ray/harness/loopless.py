"""A script without a main loop: it runs, its metrics are told, it can be stopped. There is nothing to resume it by."""

from __future__ import annotations

import os
import signal
import threading
import time

from .tensorboard import Journal
from .wire import Message, Wire

_TELL_EVERY_S = 0.2


class Loopless:
    """Takes the place of a session where there is no boundary at which one could speak."""

    position = 0

    def __init__(self, wire: Wire, journal: Journal) -> None:
        self._wire = wire
        self._journal = journal
        self.is_stopping = False

    def start(self) -> None:
        """Begin to tell what the script logs, now and then."""
        threading.Thread(target=self._tell, name="arena-journal", daemon=True).start()

    def _tell(self) -> None:
        while True:
            time.sleep(_TELL_EVERY_S)
            self._wire.send(*self._journal.take())

    def receive(self, command: Message) -> None:
        """Take a command that came down. Only ``stop`` can be obeyed: the script ends as by Ctrl-C."""
        if command.get("type") == "stop":
            self.is_stopping = True
            os.kill(os.getpid(), signal.SIGINT)

    def step(self) -> int:
        """Return the last step of which the script has logged something."""
        return max(self._journal.last_step, 0)
