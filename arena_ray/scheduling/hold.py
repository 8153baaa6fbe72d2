"""A run that holds at a milestone: judged, given another run's weights where that was decided, and let go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from arena_ray.model.errors import CheckpointCorrupt
from arena_ray.model.records import Exploit, Milestone
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExploitOutcome
from arena_ray.runner.checkpoint_files import verify_checkpoint
from arena_ray.runner.protocol import ScriptReport
from arena_ray.runner.session import Session
from arena_ray.runner.takeover import Takeover, TakeoverRefused
from arena_ray.runner.tuning import live_set
from arena_ray.scheduling.execution_port import ExecutionPort, ExploitOrder
from arena_ray.scheduling.milestones import Course


class Hold:
    """The holds of one attempt, one after the other.

    Args:
        port: Records milestones and exploits.
        session: The attempt's.
        run_id: The run.
        attempt: Number of the attempt.
        course: Where it holds.
        script: What is known of its script: how hyperparameters are set in it.
        flags: What it was started with.
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
        flags: Mapping[str, FlagValue],
        orders: Sequence[ExploitOrder],
    ) -> None:
        self._port = port
        self._session = session
        self._run_id = run_id
        self._attempt = attempt
        self._course = course
        self._script = script
        self._flags = flags
        self._orders = orders
        self.milestone: Milestone | None = None
        """Where the run waits for a decision; None while it trains."""

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
            number = self._course.milestones.number_at(self._session.progress.global_step)
            self.milestone = self._port.reach_milestone(
                self._run_id, attempt=self._attempt, number=number, metric=self._course.metric
            )

    def end(self, order: ExploitOrder | None) -> None:
        """Go on, after the exploit that was ordered.

        Raises:
            StaleAttempt: A newer attempt has taken over.
        """
        if not self._session.is_holding:
            return  # the training has died meanwhile: its next attempt holds here again
        if order is not None and order.exploit.generation > self._session.generation:
            outcome, reason = self._carry_out(order)
            if outcome is ExploitOutcome.COMMITTED:
                return  # the process died over it: its next attempt holds here again, and carries it out
            self._port.settle_exploit(
                self._run_id,
                attempt=self._attempt,
                generation=order.exploit.generation,
                outcome=outcome,
                reason=reason,
            )
        self._go_on()

    def _due(self) -> ExploitOrder | None:
        here, generation = self._session.progress.boundary, self._session.generation
        waiting = (order for order in self._orders if order.exploit.generation > generation)
        return next((order for order in waiting if order.exploit.boundary == here), None)

    def _carry_out(self, order: ExploitOrder) -> tuple[ExploitOutcome, str | None]:
        if order.checkpoint is None:
            return ExploitOutcome.ABANDONED, "the donor's checkpoint has been removed"
        try:
            verify_checkpoint(Path(order.checkpoint.uri), digest=order.exploit.donor_digest)
            is_done = self._session.take_over(self._takeover(order.exploit, path=order.checkpoint.uri))
        except (CheckpointCorrupt, TakeoverRefused) as exc:
            return ExploitOutcome.FAILED, str(exc)
        return (ExploitOutcome.APPLIED if is_done else ExploitOutcome.COMMITTED), None

    def _takeover(self, exploit: Exploit, *, path: str) -> Takeover:
        changes = live_set(self._script, exploit.hyperparameters, flags=self._flags)
        return Takeover(path, generation=exploit.generation, donor=exploit.donor_run_id, changes=changes)

    def _go_on(self) -> None:
        self.milestone = None
        self._session.go_on(self._course.milestones.next_after(self._session.progress.global_step))
