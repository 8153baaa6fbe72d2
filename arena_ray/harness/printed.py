"""What a script prints in CleanRL's form counts as logged, where it has no TensorBoard writer to log it with."""

from __future__ import annotations

import re
from typing import Any

from .tensorboard import Journal

_EPISODE = re.compile(r"global_step\s*=\s*(\d+)\b.*?(?<![\w-])episodic_return\s*=\s*\[?\s*([^\s,\]]+)")
_SPEED = re.compile(r"SPS:\s*(\S+)")
_LONGEST_LINE = 16_384


class Printed:
    """Standard output as the script has it; every line is read on its way.

    ``global_step=60, episodic_return=[15.]`` is an episode, ``SPS: 5337`` a speed. Nothing else is.
    """

    def __init__(self, stream: Any, journal: Journal) -> None:
        self._stream = stream
        self._journal = journal
        self._rest = ""

    def write(self, text: str) -> Any:
        """Print *text*."""
        written = self._stream.write(text)
        if not self._journal.writers:
            *lines, rest = (self._rest + text).split("\n")
            self._rest = rest[-_LONGEST_LINE:]
            for line in lines:
                self._read(line)
        return written

    def writelines(self, lines: Any) -> None:
        """Print *lines* as they are."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _read(self, line: str) -> None:
        episode = _EPISODE.search(line)
        speed = None if episode else _SPEED.match(line)
        try:
            if episode:
                self._journal.log(int(episode.group(1)), {"charts/episodic_return": float(episode.group(2))})
            elif speed:
                self._journal.log(max(self._journal.last_step, 0), {"charts/SPS": float(speed.group(1))})
        except ValueError:
            return  # it has the form, but no number: nothing was measured
