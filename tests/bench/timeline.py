"""What the stopwatch has written down, put in order: how long exploits take, and where the time at a milestone goes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = {
    "told at a boundary, asked for a snapshot": "Session._snapshot begin",
    "snapshot written": "Session._snapshot end",
    "known to the run actor": "Session._hold begin",
    "report archived and registered": "Session._hold end",
    "milestone registered": "Hold.arrive end",
    "run actor's step returned": "RunTrainable.step end",
    "result at the driver": "InPlacePbt.on_milestone begin",
    "decided": "Population.decide end",
    "exploit committed, order sent": "TuneEngine.decide begin",
    "order at the run actor": "RunTrainable.decide begin",
    "weights and hyperparameters taken over": "Session.take_over end",
    "exploit settled, training let go on": "Session.go_on begin",
    "boundary left": "Session._attend end",
}
"""What happens to a run that holds at a milestone, and the moment at which it has; the third last only in exploits."""
TAKEN_OVER = "weights and hyperparameters taken over"
Stages = dict[str, float]
"""Seconds that each stage took."""

STOPWATCH = Path(__file__).with_name("stopwatch")


@contextmanager
def stopwatch(directory: Path) -> Iterator[dict[str, str]]:
    """Have the processes that are started meanwhile write down their times into *directory*.

    Yields:
        The variables of their environment that see to it.
    """
    directory.mkdir()
    before = dict(os.environ)
    path = [str(STOPWATCH), *filter(None, [before.get("PYTHONPATH")])]
    watched = {"PYTHONPATH": os.pathsep.join(path), "BENCH_STOPWATCH": str(directory)}
    os.environ.update(watched)
    try:
        yield watched
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass(frozen=True)
class Span:
    """One call. ``subjects`` are the runs that it was about."""

    point: str
    subjects: tuple[str, ...]
    begin: float
    end: float
    pid: int

    def moment(self, edge: str) -> float:
        return self.begin if edge == "begin" else self.end


class Timeline:
    """All calls in the order of their ends. Each run has one name, whatever those who noted it called it."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = sorted(spans, key=lambda span: span.end)

    @classmethod
    def read(cls, directory: Path, *, names: Mapping[str, str] | None = None) -> Timeline:
        """Read what lies in *directory*; *names* maps the ids of runs to their names."""
        known, spans = names or {}, []
        for path in directory.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                point, subject, *when = json.loads(line)
                subjects = subject if isinstance(subject, list) else [subject]
                spans.append(Span(point, tuple(known.get(one, one) for one in subjects), *when))
        return cls(spans)

    def of(self, point: str, run: str | None = None) -> list[Span]:
        return [span for span in self.spans if span.point == point and (run is None or run in span.subjects)]

    def goes_on(self, pid: int, *, after: float) -> float:
        """Return when the training process *pid* left a boundary next."""
        left = (span.end for span in self.of("Session._attend") if span.pid == pid and span.end >= after)
        return next(left, math.inf)

    def exploits_in_place(self, runs: Iterable[str]) -> list[float]:
        """Return for each exploit of *runs* how long it took from the decision to the training going on."""
        decided = [(run, span.end) for span in self.of("Population.decide") for run in span.subjects]
        found = [self._next("Session._attend", run, after=end) - end for run, end in decided if run in set(runs)]
        return [one for one in found if math.isfinite(one)]

    def _next(self, point: str, run: str, *, after: float) -> float:
        return next((span.end for span in self.of(point, run) if span.end >= after), math.inf)

    def exploits_of_stock(self, grants: Sequence[tuple[str, int, float]]) -> list[float]:
        """Return the same of Ray's.

        Args:
            grants: Trial, pid of its training process, and when that was let go on.
        """
        found = []
        for exploit in self.of("PopulationBasedTraining._exploit"):
            later = [(at, pid) for trial, pid, at in grants if trial in exploit.subjects and at >= exploit.begin]
            if later:
                at, pid = min(later)
                found.append(self.goes_on(pid, after=at) - exploit.begin)
        return found

    def arrivals(self, runs: Iterable[str]) -> Iterator[Stages]:
        """Yield for each time that one of *runs* arrived at a milestone and went on there how long each stage took."""
        for judged in self.of("InPlacePbt.on_milestone"):
            [run] = judged.subjects
            if run not in set(runs):
                continue
            told = [span for span in self.of("Session._tell", run) if span.end <= judged.begin][-1]
            end = self.goes_on(told.pid, after=judged.begin)
            own = [span for span in self.spans if run in span.subjects or span.point == "Population.decide"]
            stages = dict(_stages([span for span in own if told.end <= span.end and span.begin <= end], told.end))
            if stages.keys() | {TAKEN_OVER} == STAGES.keys():
                yield stages


def _stages(spans: Sequence[Span], begin: float) -> Iterator[tuple[str, float]]:
    before = begin
    for title, what in STAGES.items():
        point, edge = what.split(" ")
        moments: list[Any] = [span.moment(edge) for span in spans if span.point == point]
        now = min((moment for moment in moments if moment >= before), default=None)
        if now is not None:
            yield title, now - before
            before = now
