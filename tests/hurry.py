"""Trainings that last until the test lets them end, however slow the machine is."""

from __future__ import annotations

import itertools
from pathlib import Path

_numbers = itertools.count(1)


class Hurry:
    """Flags for the scripts of the tests: their runs take their time until they are told to hurry."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / f"hurry-{next(_numbers)}"

    def flags(self, *, passes: int = 1_200, sleep_s: float = 0.1) -> dict[str, object]:
        """Return the flags of a run of so many passes, each of which takes so long until then."""
        return {"total_timesteps": passes, "sleep_s": sleep_s, "hurry": str(self._file)}

    def now(self) -> None:
        """Let all these runs go to their end in a moment."""
        self._file.touch()
