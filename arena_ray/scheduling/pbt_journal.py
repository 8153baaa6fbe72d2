"""The record of a population in somebody's own ``tune.Tuner``: its lineage, and all that a restart has to know.

One JSON object a line, in the order in which things happened. ``event`` is ``member``, ``milestone``, ``exploit`` or
``outcome``. Tune forgets its scheduler when an experiment is restored; this is read then.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

FILE = "pbt_lineage.jsonl"


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events in the file at *path*, without a last line that was cut off; none where there is no file."""
    events = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:  # the process was killed as it wrote
            continue
    return events


class Journal:
    """The events so far, which are also written to a file once it is known where."""

    def __init__(self, events: list[dict[str, Any]] | None = None) -> None:
        self.events = list(events or ())
        self._path: Path | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def open(self, path: Path, *, trial: str) -> bool:
        """Write to *path* from now on; return whether its history was taken over.

        It is where *trial*, one of those at hand, occurs there; else it is that of an earlier experiment of the name.
        """
        found = read_events(path)
        is_ours = not self.events and any(event["trial"] == trial for event in found)
        if is_ours:
            self.events = found
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self.write_to(path)
        return is_ours

    def add(self, event: str, trial: str, **what: Any) -> None:
        """Record an event of a trial."""
        # As it will be read: numbers of NumPy are plain ones, and what is no number is null.
        self.events.append(json.loads(_line({"event": event, "trial": trial, **what})))
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(_line(self.events[-1]))

    def write_to(self, path: Path) -> None:
        """Write all events to the file at *path*."""
        path.write_text("".join(map(_line, self.events)))

    def lineage(self) -> list[dict[str, Any]]:
        """Return the exploits in the order they were decided, with their outcomes."""
        exploits = [
            dict(event, outcome="committed", reason=None) for event in self.events if event["event"] == "exploit"
        ]
        by_generation = {(exploit["trial"], exploit["generation"]): exploit for exploit in exploits}
        for event in self.events:
            if event["event"] == "outcome":
                exploit = by_generation[event["trial"], event["generation"]]
                exploit.update(outcome=event["outcome"], reason=event["reason"])
        return [{name: value for name, value in exploit.items() if name != "event"} for exploit in exploits]


def _line(event: dict[str, Any]) -> str:
    return json.dumps(_plain(event), default=_item) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _item(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
