"""At which steps a run holds to be judged."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from arena_ray.model.records import Milestone


@dataclass(frozen=True)
class Milestones:
    """Steps at which runs are compared: every ``interval``, or the ``steps`` that are listed. 0 is no milestone."""

    interval: int | None = None
    steps: tuple[int, ...] = ()

    def number_at(self, step: int) -> int:
        """Return the number of the newest milestone that *step* has reached; 0 before the first.

        Equal numbers of two runs mean equal steps. A run whose passes are longer than the interval skips numbers.
        """
        if self.interval is not None:
            return step // self.interval
        return bisect.bisect_right(self.steps, step)

    def next_after(self, step: int) -> int | None:
        """Return the step of the first milestone beyond *step*; None after the last."""
        if self.interval is not None:
            return (step // self.interval + 1) * self.interval
        at = bisect.bisect_right(self.steps, step)
        return self.steps[at] if at < len(self.steps) else None


@dataclass(frozen=True)
class Course:
    """Where a run is to hold, and by what it is judged there."""

    milestones: Milestones = Milestones()
    metric: str = "episodic_return"

    def first_stop(self, *, step: int, boundary: int, generation: int, reached: Sequence[Milestone]) -> int | None:
        """Return the step from which on a run holds that starts at *step*, perhaps at once.

        Args:
            step: Its step at the start.
            boundary: The boundary at which it starts.
            generation: Its generation there.
            reached: What it has been judged at so far.
        """
        number = self.milestones.number_at(step)
        last = next((milestone for milestone in reached if milestone.number == number), None)
        has_passed = last is not None and (last.boundary, last.generation) < (boundary, generation)
        return self.milestones.next_after(step) if number == 0 or has_passed else step
