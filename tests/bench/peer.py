"""The process in which Ray's own PBT races, with a Ray of its own: ours and that one never meet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from race import Outcome, Race
from timeline import Timeline, stopwatch

LOG_LINES = 40
SCRIPT = Path(__file__).with_name("stock.py")
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # as in our own clusters
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


class Stock:
    """Asks ``stock.py`` for one race after the other."""

    def __init__(self, process: subprocess.Popen[str], *, times: Path, log: Path) -> None:
        self._process = process
        self._times = times
        self._log = log
        self._answer()  # its Ray is up

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process of Ray's PBT has ended:\n" + "".join(
            self._log.read_text().splitlines(True)[-LOG_LINES:]
        )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def run_race(self, race: Race, *, reuse_actors: bool) -> Outcome:
        assert self._process.stdin is not None
        print(json.dumps({"race": asdict(race), "reuse_actors": reuse_actors}), file=self._process.stdin, flush=True)
        answer = self._answer()
        exploits = Timeline.read(self._times).exploits_of_stock(answer["grants"])
        return replace(Outcome(**answer["outcome"]), exploits_s=exploits)


@contextmanager
def open_stock(times: Path, *, num_cpus: int, log: Path) -> Iterator[Stock]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    with stopwatch(times) as watched, log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(num_cpus)],
            env={**others, **ENVIRONMENT, **watched},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:  # which closes its stdin, and waits for its end
        yield Stock(process, times=times, log=log)
