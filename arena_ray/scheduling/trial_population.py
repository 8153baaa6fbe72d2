"""A population whose members are trials of Tune, with the journal from which it is built again."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial

from arena_ray.model.search_space import SearchSpace
from arena_ray.model.states import ExploitOutcome
from arena_ray.scheduling.exploiter import Exploiter, generation_in
from arena_ray.scheduling.pbt_journal import FILE, Journal
from arena_ray.scheduling.population import Population, Rules, Takeover


@dataclass(frozen=True)
class Arrival:
    """What a result tells of a milestone that it reaches."""

    milestone: int
    score: float


@dataclass
class Course:
    """A trial as it is followed."""

    trial: Trial
    member: int
    reached: int = 0
    """The milestone at which it was last judged, since it was last restored."""
    has_ended: bool = False
    saved: dict[int, Any] = field(default_factory=dict)
    """What its exploiter saved, by milestone."""


class TrialPopulation:
    """Follows trials, keeps what they saved as long as it may be needed, and records all that happens.

    Args:
        rules: How they are judged.
        space: What is tuned.
        exploiter: Saves their states.
        journal: The record, perhaps of an earlier life.
    """

    def __init__(self, rules: Rules, space: SearchSpace, *, exploiter: Exploiter, journal: Journal) -> None:
        self._seed = rules.seed
        self._space = space
        self._exploiter = exploiter
        self._journal = journal
        self._population = Population(rules, space)
        self.courses: dict[str, Course] = {}

    def join(self, trial: Trial) -> Course:
        """Let a trial take part: a new one, one that is tried again, or one of a restored experiment."""
        if not self._journal.is_open:
            storage = trial.storage
            is_local = storage.storage_filesystem.type_name == "local"
            directory = storage.experiment_fs_path if is_local else storage.experiment_driver_staging_path
            self._journal.open(Path(directory) / FILE, trial=trial.trial_id)
            self._replay()
        course = self.courses.get(trial.trial_id) or self._restored(trial) or self._new(trial)
        course.trial, course.has_ended = trial, False
        self.courses[trial.trial_id] = course
        self._population.resume(trial.trial_id)
        for exploit in self._journal.lineage():
            is_undone = exploit["trial"] == trial.trial_id and exploit["generation"] > generation_in(trial)
            if is_undone and exploit["outcome"] in (ExploitOutcome.APPLIED, ExploitOutcome.COMMITTED):
                reason = "the trial was restored as it had been before"
                self.settle(trial.trial_id, exploit["generation"], ExploitOutcome.ABANDONED, reason)
        if trial.status in (Trial.TERMINATED, Trial.ERROR):
            self.leave(trial, is_donor=trial.status == Trial.TERMINATED)
        return course

    def arrive(self, course: Course, arrival: Arrival, *, is_end: bool = False) -> Any:
        """Take in that a trial has reached a milestone; return what stands for its state there."""
        key = course.trial.trial_id
        saved = self._exploiter.mark(course.trial, milestone=arrival.milestone)
        course.reached = arrival.milestone
        course.saved[arrival.milestone] = saved
        there = {"milestone": arrival.milestone, "score": arrival.score}
        generation = self._population.generation_of(key)
        self._journal.add("milestone", key, **there, generation=generation)
        if is_end:
            self._population.recall(
                key, milestone=arrival.milestone, score=arrival.score, checkpoint=saved, generation=generation
            )
        else:
            self._population.observe(key, milestone=arrival.milestone, score=arrival.score, checkpoint=saved)
        return saved

    def leave(self, trial: Trial, *, is_donor: bool) -> None:
        """Take in that a trial has ended; one that ended well stays a donor."""
        self.courses[trial.trial_id].has_ended = True
        how = Population.retire if is_donor else Population.drop
        how(self._population, trial.trial_id)

    def decide(self) -> list[tuple[str, Takeover]]:
        """Return the exploits that are due now, each with its clone."""
        exploits = []
        for decision in self._population.decide():
            if decision.exploit is not None:
                told = {name: value for name, value in vars(decision.exploit).items() if name != "checkpoint"}
                self._journal.add("exploit", decision.clone, **told)
                exploits.append((decision.clone, decision.exploit))
        return exploits

    def settle(self, trial_id: str, generation: int, outcome: ExploitOutcome, reason: str | None = None) -> None:
        """Take in how an exploit ended."""
        if outcome is not ExploitOutcome.APPLIED:
            self._population.revoke_exploit(trial_id, generation=generation)
        self._journal.add("outcome", trial_id, generation=generation, outcome=outcome.value, reason=reason)

    def is_waiting(self, trial: Trial) -> bool:
        """Whether the trial waits for others."""
        return trial.trial_id in self._population.waiting

    def progress_of(self, trial: Trial) -> tuple[int, int]:
        """Return what orders trials from the one that is furthest behind."""
        course = self.courses[trial.trial_id]
        return course.reached, course.member

    def still_needed(self) -> list[Any]:
        """Return the saved states that may be taken yet: of each trial those from the newest the last one may ask for.

        The others are forgotten.
        """
        behind = [course.reached for course in self.courses.values() if not course.has_ended]
        if not behind:
            return []
        needed: list[Any] = []
        for course in self.courses.values():
            oldest = max((milestone for milestone in course.saved if milestone <= min(behind) + 1), default=0)
            course.saved = {milestone: saved for milestone, saved in course.saved.items() if milestone >= oldest}
            needed += course.saved.values()
        return needed

    def _new(self, trial: Trial) -> Course:
        numbers = [event["member"] for event in self._journal.events if event["event"] == "member"]
        member = max(numbers, default=-1) + 1
        for name, value in self._space.sample(random.Random(f"{self._seed}/{member}")).items():
            if name not in trial.config:
                trial.config[name] = trial.evaluated_params[name] = value
        hyperparameters = {name: trial.config[name] for name in self._space.names if name in trial.config}
        self._journal.add("member", trial.trial_id, member=member, hyperparameters=hyperparameters)
        self._population.add(trial.trial_id, member=member, hyperparameters=hyperparameters)
        return Course(trial, member)

    def _restored(self, trial: Trial) -> Course | None:
        known = [event for event in self._journal.events if event["trial"] == trial.trial_id]
        member = next((event["member"] for event in known if event["event"] == "member"), None)
        if member is None:
            return None
        course = Course(trial, member)
        for event in known:
            if event["event"] == "milestone":
                saved = self._exploiter.find(trial, milestone=event["milestone"])
                course.saved[event["milestone"]] = saved
                self._recall(event, saved)
        return course

    def _replay(self) -> None:
        """Feed the journal to the population; its members take part again as soon as their trials join."""
        for event in self._journal.events:
            key = event["trial"]
            if event["event"] == "member":
                self._population.add(key, member=event["member"], hyperparameters=event["hyperparameters"])
            elif event["event"] == "milestone":
                self._recall(event, None)
            elif event["event"] == "exploit":
                told = {name: event[name] for name in ("generation", "milestone", "hyperparameters")}
                self._population.restore_exploit(key, score=_number(event["donor_score"]), **told)
            elif event["outcome"] != ExploitOutcome.APPLIED:
                self._population.revoke_exploit(key, generation=event["generation"])
        for key in {event["trial"] for event in self._journal.events}:
            self._population.drop(key)

    def _recall(self, event: dict[str, Any], saved: Any) -> None:
        self._population.recall(
            event["trial"],
            milestone=event["milestone"],
            score=_number(event["score"]),
            checkpoint=saved,
            generation=event["generation"],
        )


def _number(told: float | None) -> float:
    return math.nan if told is None else told
