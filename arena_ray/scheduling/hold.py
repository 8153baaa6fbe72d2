"""A run that holds at a milestone: judged, given another run's weights where that was decided, and let go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arena_ray.model.errors import CheckpointCorrupt
from arena_ray.model.records import Exploit, Milestone
from arena_ray.model.states import AttemptOutcome, ExploitOutcome
from arena_ray.runner.attempt import End
from arena_ray.runner.checkpoint_files import verify_checkpoint
from arena_ray.runner.protocol import ScriptReport
from arena_ray.runner.session import Session
from arena_ray.runner.takeover import Takeover, TakeoverRefused
from arena_ray.runner.tuning import live_set
from arena_ray.scheduling.execution_port import ExecutionPort, ExploitOrder
from arena_ray.scheduling.milestones import Course
from arena_ray.scheduling.restart import MOST_TRIES, Entry, History, Restart, fixed_changes


class Hold:
    """The holds of one attempt, one after the other.

    Args:
        port: Records milestones and exploits.
        session: The attempt's.
        run_id: The run.
        attempt: Number of the attempt.
        course: Where it holds.
        script: What is known of its script: how hyperparameters are set in it.
        entry: How the attempt began.
        history: Of the run's restarts.
        orders: Exploits that were committed before this attempt; those that its checkpoint does not contain are
            carried out when it comes by their boundaries.
    """

    def __init__(
        self,
        port: ExecutionPort,
        session: Session,
        *,
        run_id: str,
        attempt: int,
        course: Course,
        script: ScriptReport,
        entry: Entry,
        history: History,
        orders: Sequence[ExploitOrder],
    ) -> None:
        self._port = port
        self._session = session
        self._run_id = run_id
        self._attempt = attempt
        self._course = course
        self._script = script
        self._flags = entry.flags
        self._restart = entry.restart
        self._history = history
        self._orders = orders
        self.milestone: Milestone | None = None
        """Where the run waits for a decision; None while it trains."""
        self.departure: End | None = None
        """How the attempt is to end, so that the next one goes on from here; None while it goes on itself."""

    def arrive(self) -> None:
        """Be judged at this milestone, unless that has happened before.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        if self.milestone is not None:
            return
        order = self._due()
        if order is not None:
            self.end(order)
        elif not self._session.has_checkpoint_here:  # nobody could take this state over, nor come back to it
            self._go_on()
        else:
            here = self._session.progress
            self.milestone = self._port.reach_milestone(
                self._run_id,
                attempt=self._attempt,
                number=self._course.milestones.number_at(here.global_step),
                place=(here.boundary, self._session.generation),
                metric=self._course.metric,
            )

    def end(self, order: ExploitOrder | None) -> None:
        """Go on, after the exploit that was ordered.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        if not self._session.is_holding:  # the training has died meanwhile: its next attempt holds here again
            self._orders = [*self._orders, order] if order is not None else self._orders
            return
        if self._restart is not None:  # nothing else can be done with what the process holds
            order = self._restart.order
        if order is not None and order.exploit.generation > self._session.generation:
            outcome, reason = self._carry_out(order)
            if outcome is ExploitOutcome.COMMITTED:
                return  # the process died over it or is to end: the next attempt holds here again, and carries it out
            self._settle(order, outcome, reason)
            if self._restart is not None and not self._is_started_anew(self._restart, reason):
                return
        self._go_on()

    def _settle(self, order: ExploitOrder, outcome: ExploitOutcome, reason: str | None) -> None:
        self._port.settle_exploit(
            self._run_id,
            attempt=self._attempt,
            generation=order.exploit.generation,
            outcome=outcome,
            reason=reason,
        )

    def _is_started_anew(self, restart: Restart, reason: str | None) -> bool:
        """Return whether the process may go on; else it has nothing to train with, and ends."""
        if self._session.generation == restart.generation:
            self._session.request_snapshot()  # from here on nothing has to be done again
            self._restart = None
            self._history.forget(restart.generation)
            return True
        self._give_up(restart)
        self.departure = End(AttemptOutcome.PREEMPTED, reason)
        return False

    def judge(self, end: End) -> End:
        """Return how the attempt ends whose training ended so: that it could not start anew does not end the run.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        restart = self._restart
        if restart is None or end.outcome in (AttemptOutcome.STOPPED, AttemptOutcome.PAUSED):
            return end
        is_lost = end.outcome is AttemptOutcome.LOST
        self._history.losses[restart.generation] += is_lost
        if is_lost and self._history.losses[restart.generation] < MOST_TRIES:
            return end
        why = (end.reason or "the script ended before its main loop").splitlines()[0]
        self._settle(restart.order, ExploitOutcome.FAILED, restart.failure(why))
        self._give_up(restart)
        return end if is_lost else End(AttemptOutcome.PREEMPTED, restart.failure(why))

    def _give_up(self, restart: Restart) -> None:
        self._history.decided_at = (restart.order.exploit.boundary, self._session.generation)

    def _due(self) -> ExploitOrder | None:
        here, generation = self._session.progress.boundary, self._session.generation
        waiting = (order for order in self._orders if order.exploit.generation > generation)
        return next((order for order in waiting if order.exploit.boundary == here), None)

    def _carry_out(self, order: ExploitOrder) -> tuple[ExploitOutcome, str | None]:
        if order.checkpoint is None:
            return ExploitOutcome.ABANDONED, "the donor's checkpoint has been removed"
        try:
            verify_checkpoint(Path(order.checkpoint.uri), digest=order.exploit.donor_digest)
            if self._must_start_anew(order):
                return ExploitOutcome.COMMITTED, None
            is_done = self._session.take_over(self._takeover(order.exploit, path=order.checkpoint.uri))
        except (CheckpointCorrupt, TakeoverRefused, OSError) as exc:
            return ExploitOutcome.FAILED, self._restart.failure(str(exc)) if self._restart else str(exc)
        reason = f"warm restart: {self._restart}" if self._restart else None
        return (ExploitOutcome.APPLIED if is_done else ExploitOutcome.COMMITTED), reason

    def _must_start_anew(self, order: ExploitOrder) -> bool:
        changes = fixed_changes(self._script, order.exploit.hyperparameters, flags=self._flags)
        if not changes:
            return False
        restart = Restart(order, changes)
        if not self._session.has_checkpoint_here:
            raise TakeoverRefused(restart.failure("the state here could not be written down"))
        if self._history.departures[restart.generation] >= MOST_TRIES:
            raise TakeoverRefused(restart.failure(f"that was tried {MOST_TRIES} times"))
        self._history.departures[restart.generation] += 1
        self.departure = restart.end_before
        return True

    def _takeover(self, exploit: Exploit, *, path: str) -> Takeover:
        changes = live_set(self._script, exploit.hyperparameters, flags=self._flags)
        return Takeover(
            path,
            generation=exploit.generation,
            donor=exploit.donor_run_id,
            changes=changes,
            hyperparameters=exploit.hyperparameters,
        )

    def _go_on(self) -> None:
        self.milestone = None
        self._session.go_on(self._course.milestones.next_after(self._session.progress.global_step))
