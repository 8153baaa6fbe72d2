"""Schedulers that decide where runs hold: population-based training in the running process, and stops at rungs."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from arena_ray.model.errors import IllegalTransition
from arena_ray.model.records import Exploit, Milestone, Run
from arena_ray.model.spec import FlagValue
from arena_ray.model.states import ExploitOutcome, RunState
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.scheduling.population import Decision, Population, Takeover
from arena_ray.scheduling.trainable import MILESTONE, OUTCOME

log = logging.getLogger(__name__)


class Crew(Protocol):
    """The run actors, as a scheduler of ours orders them about."""

    def decide(self, run_id: str, order: ExploitOrder | None) -> None:
        """Let the run go on that holds; the call reaches its actor before its next step."""
        ...

    def give_way(self, run_id: str) -> None:
        """Take the run that holds off its actor; it goes on from there when it is chosen again."""
        ...

    def is_short_of(self, run_id: str) -> bool:
        """Whether the run waits for resources that are not there."""
        ...


class MilestoneScheduler(TrialScheduler, ABC):
    """What all schedulers have in common that decide at milestones: to others, a run that trains is left alone.

    Ours have no use for Tune's checkpoints: a run's state is in its own, and a trial is paused without saving.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew

    @abstractmethod
    def on_milestone(self, milestone: Milestone) -> bool:
        """Handle a run that holds there; return whether it was taken off its actor."""

    def on_end(self, run_id: str, outcome: RunState) -> None:
        """Handle the end of a run."""

    def on_pause(self, run_id: str) -> None:
        """Handle that the user paused a run."""

    def on_release(self, run_id: str) -> None:
        """Handle that the user lets a paused run go on."""

    def progress_of(self, run_id: str) -> tuple[bool, int, int]:
        """Return what orders the runs that are to be chosen: waits for others, milestone, member."""
        return (False, 0, 0)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Decide where the run holds; else let it go on."""
        if MILESTONE in result and self.on_milestone(result[MILESTONE]):
            return str(TrialScheduler.NOOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Note how the run ended; a trial also ends with its driver, or when another actor has its run."""
        outcome = RunState(result.get(OUTCOME, RunState.RUNNING.value))
        if outcome.is_final:
            self.on_end(trial.trial_id, outcome)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Note that the run waits for nothing any more: it was paused or stopped before it had an actor."""
        self.on_pause(trial.trial_id)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Note that the run takes part."""
        self.on_release(trial.trial_id)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Nothing: its actor died and it will have another one."""

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Choose the run that is furthest behind, but none that waits for others."""
        waiting = [t for t in tune_controller.get_trials() if t.status in (Trial.PENDING, Trial.PAUSED)]
        eligible = [t for t in waiting if not self.progress_of(t.trial_id)[0]]
        return min(eligible, key=lambda t: self.progress_of(t.trial_id), default=None)

    def debug_string(self) -> str:
        """Return what Tune prints of a scheduler."""
        return type(self).__name__


class InPlacePbt(MilestoneScheduler):
    """Population-based training whose exploits happen inside the running process.

    Args:
        crew: The run actors.
        population: Decides.
        tuned: Names of the hyperparameters that are changed.
        execution_id: The plugin execution.
        commit: Records an exploit; only then is it carried out.
    """

    def __init__(
        self,
        crew: Crew,
        population: Population,
        *,
        tuned: Collection[str],
        execution_id: str,
        commit: Callable[[Exploit], ExploitOrder],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(crew)
        self._population = population
        self._tuned = tuned
        self._execution_id = execution_id
        self._commit = commit
        self._clock = clock
        self._members: dict[str, int] = {}
        self._held: dict[str, Milestone] = {}
        self._exploited: dict[str, int] = {}
        """The milestone of each run's newest exploit."""
        self._away: set[str] = set()
        """Runs that hold without an actor."""

    def add(self, run: Run) -> None:
        """Let a run take part."""
        if run.run_id not in self._members:
            self._add(run, run.hyperparameters)

    def _add(self, run: Run, hyperparameters: Mapping[str, FlagValue]) -> None:
        member = run.member or 0
        self._members[run.run_id] = member
        tuned = {name: value for name, value in hyperparameters.items() if name in self._tuned}
        self._population.add(run.run_id, member=member, hyperparameters=tuned)

    def recall(self, record: StudyRecord) -> None:
        """Take in all that has happened before this driver, in the order in which it happened."""
        first = {exploit.run_id: exploit.hyperparameters_before for exploit in reversed(record.exploits)}
        for run in record.runs:
            self._add(run, first.get(run.run_id, run.hyperparameters))
        events: list[tuple[datetime, Milestone | Exploit | Run]] = []
        events += [(milestone.created_at, milestone) for milestone in record.milestones]
        events += [(exploit.created_at, exploit) for exploit in record.exploits]
        events += [(run.ended_at, run) for run in record.runs if run.ended_at is not None]
        for _, event in sorted(events, key=lambda event: event[0]):
            self._recall(event)
        for run in record.runs:
            if run.state is RunState.PAUSED:
                self._population.suspend(run.run_id)

    def _recall(self, event: Milestone | Exploit | Run) -> None:
        if isinstance(event, Run):
            self._end(event.run_id, event.state)
        elif isinstance(event, Milestone):
            self._population.recall(
                event.run_id,
                milestone=event.number,
                score=event.score,
                checkpoint=event.checkpoint_id,
                generation=event.generation,
                is_measured=event.is_measured,
            )
        else:
            self._recall_exploit(event)

    def _recall_exploit(self, event: Exploit) -> None:
        self._exploited[event.run_id] = event.milestone
        self._population.restore_exploit(
            event.run_id,
            generation=event.generation,
            milestone=event.milestone,
            hyperparameters=event.hyperparameters,
            score=event.donor_score,
        )
        if event.outcome in (ExploitOutcome.FAILED, ExploitOutcome.ABANDONED):
            self._population.revoke_exploit(event.run_id, generation=event.generation)

    def on_milestone(self, milestone: Milestone) -> bool:
        """Judge whom this arrival makes ripe; return whether this run gave way to one that is behind."""
        self._revoke_failed(milestone)
        self._held[milestone.run_id] = milestone
        self._away.discard(milestone.run_id)
        self._population.observe(
            milestone.run_id,
            milestone=milestone.number,
            score=milestone.score,
            checkpoint=milestone.checkpoint_id,
            is_measured=milestone.is_measured,
        )
        self._carry_out(self._population.decide())
        return milestone.run_id in self._away

    def _revoke_failed(self, milestone: Milestone) -> None:
        """Take back an exploit that the run did not carry out: it has come on without it."""
        generation = self._population.generation_of(milestone.run_id)
        if milestone.generation < generation and milestone.number > self._exploited.get(milestone.run_id, 0):
            self._population.revoke_exploit(milestone.run_id, generation=generation)

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        decided = {decision.clone: self._order(decision) for decision in decisions}
        waiting = sorted(self._population.waiting - self._away)
        leaving = self._leaving([run_id for run_id in [*decided, *waiting] if run_id not in self._away])
        for run_id, order in decided.items():
            if run_id in self._away:
                self._away.discard(run_id)  # it finds the order when it starts again
            elif run_id not in leaving:
                self._crew.decide(run_id, order)
        for run_id in leaving:
            self._crew.give_way(run_id)
        self._away |= leaving

    def _order(self, decision: Decision) -> ExploitOrder | None:
        held = self._held.pop(decision.clone)
        if decision.exploit is None:
            return None
        try:
            order = self._commit(self._exploit(held, decision.exploit))
        except IllegalTransition:  # the run has ended meanwhile
            return None
        self._exploited[decision.clone] = held.number
        return order

    def _leaving(self, holding: Sequence[str]) -> set[str]:
        """Return which of the runs that hold give way: one for each run behind it that lacks a place."""
        at_work = self._population.waiting | set(holding)
        behind = sorted(
            (self._population.milestone_of(other), other)
            for other in self._members
            if other not in at_work and self._crew.is_short_of(other)
        )
        leaving: set[str] = set()
        for run_id in sorted(holding, key=self._population.milestone_of, reverse=True):
            if behind and behind[0][0] < self._population.milestone_of(run_id):
                behind.pop(0)
                leaving.add(run_id)
        return leaving

    def _exploit(self, held: Milestone, takeover: Takeover) -> Exploit:
        return Exploit(
            execution_id=self._execution_id,
            run_id=held.run_id,
            generation=takeover.generation,
            milestone=held.number,
            boundary=held.boundary,
            global_step=held.global_step,
            score=takeover.score,
            donor_run_id=takeover.donor,
            donor_generation=takeover.donor_generation,
            donor_milestone=takeover.donor_milestone,
            donor_checkpoint_id=takeover.checkpoint,
            donor_digest="",  # the registry knows it
            donor_score=takeover.donor_score,
            hyperparameters_before=takeover.hyperparameters_before,
            hyperparameters=takeover.hyperparameters,
            cause=takeover.cause,
            created_at=self._clock(),
        )

    def on_end(self, run_id: str, outcome: RunState) -> None:
        """Keep a completed run as a donor; nobody waits for it any more."""
        self._end(run_id, outcome)
        self._carry_out(self._population.decide())

    def _end(self, run_id: str, outcome: RunState) -> None:
        if outcome is RunState.COMPLETED:
            self._population.retire(run_id)
        else:
            self._population.drop(run_id)

    def on_pause(self, run_id: str) -> None:
        """Let nobody wait for the run; when it goes on, it holds here again."""
        self._population.suspend(run_id)
        self._held.pop(run_id, None)
        self._carry_out(self._population.decide())

    def on_release(self, run_id: str) -> None:
        """Let the run take part again."""
        self._population.resume(run_id)

    def progress_of(self, run_id: str) -> tuple[bool, int, int]:
        """Return how far the run is."""
        is_waiting = run_id in self._population.waiting
        return (is_waiting, self._population.milestone_of(run_id), self._members[run_id])
