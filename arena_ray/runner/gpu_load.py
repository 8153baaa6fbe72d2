"""How busy the GPUs of a run are, as their driver tells: a reserved GPU that does nothing is money burnt."""

from __future__ import annotations

import math
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

INTERVAL_S = 10.0
PATIENCE_S = 30.0


class GpuLoad:
    """Asks ``nvidia-smi`` now and then, without waiting for it.

    Args:
        devices: As in ``CUDA_VISIBLE_DEVICES``; nothing is asked where it is empty.
        clock: Gives seconds that only grow.
    """

    def __init__(self, devices: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = shutil.which("nvidia-smi") if devices else None
        self._devices = devices
        self._clock = clock
        self._asked_at = -math.inf
        self._asking: subprocess.Popen[str] | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> GpuLoad:
        """Return the one for what a process with this environment sees."""
        return cls(environ.get("CUDA_VISIBLE_DEVICES", ""))

    def look(self) -> float | None:
        """Return the mean utilization of the GPUs in percent, once for each time it was asked; mostly None."""
        if self._command is None:
            return None
        if self._asking is None:
            if self._clock() - self._asked_at >= INTERVAL_S:
                self._ask()
            return None
        if self._asking.poll() is None:
            if self._clock() - self._asked_at >= PATIENCE_S:
                self.close()
            return None
        asked, self._asking = self._asking, None
        said = asked.communicate()[0]
        try:
            percents = [float(line) for line in said.splitlines()]
        except ValueError:  # "[N/A]" for a share of a GPU that is split in hardware
            return None
        return sum(percents) / len(percents) if percents and asked.returncode == 0 else None

    def _ask(self) -> None:
        self._asked_at = self._clock()
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", f"--id={self._devices}"]
        with suppress(OSError):
            self._asking = subprocess.Popen(
                [str(self._command), *query],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )

    def close(self) -> None:
        """End what is being asked."""
        asked, self._asking = self._asking, None
        if asked is not None:
            asked.kill()
            asked.communicate()
