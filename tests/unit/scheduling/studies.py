"""A plugin execution whose orchestrator and engine are tables: what the tests of studies and plugins share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from arena_ray.model.errors import PluginMistake, StaleDriver
from arena_ray.model.events import encode_number
from arena_ray.model.records import Execution, Exploit, JournalEntry, Milestone, Revision, Run
from arena_ray.model.search_space import SearchSpace
from arena_ray.model.spec import CheckpointPolicy, ExperimentSpec, FlagValue, Resources
from arena_ray.model.states import ExecutionState, RunState
from arena_ray.plugin.study import Study
from arena_ray.scheduling.execution_port import ExploitOrder, StudyRecord
from arena_ray.scheduling.plugin_port import Call, RevisionOrder, RunOrder

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DRIVER = "this driver"
SPACE = SearchSpace.parse({"learning_rate": {"uniform": [0.0, 1.0]}})
SPEC = ExperimentSpec(experiment="x", runner="cleanrl", script="line.py", env_id="none", seed=7)


def study(**keys: Any) -> Study:
    return Study(**({"param_space": SPACE, "num_samples": 3} | keys))


def execution(**changes: Any) -> Execution:
    keys: dict[str, Any] = {"execution_id": "e", "experiment_id": "x", "experiment": "x", "plugin": "p", "settings": {}}
    return Execution(**(keys | {"spec": SPEC, "state": ExecutionState.RUNNING, "created_at": NOW} | changes))


def milestone(run_id: str, number: int, score: float, **changes: Any) -> Milestone:
    keys = {"run_id": run_id, "number": number, "score": score, "generation": 0, "boundary": number * 10}
    keys |= {"global_step": number * 100, "checkpoint_id": f"{run_id}{number}", "created_at": NOW}
    return Milestone(**(keys | changes))


@dataclass
class Orchestrator:
    """Keeps runs in memory; the tests move them."""

    runs: dict[int, Run] = field(default_factory=dict)
    milestones: list[Milestone] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    stopped: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[ExecutionState, str | None]] = field(default_factory=list)
    driver: str = DRIVER
    notes: dict[str, str] = field(default_factory=dict)
    revisions: list[RevisionOrder] = field(default_factory=list)
    calls: list[JournalEntry] = field(default_factory=list)

    def record(self, execution_id: str) -> StudyRecord:
        runs = tuple(self.runs[member] for member in sorted(self.runs))
        return StudyRecord(execution(), runs, tuple(self.milestones), ())

    def total_steps(self, execution_id: str) -> int:
        return 1000

    def add_run(
        self, execution_id: str, *, driver: str, member: int, hyperparameters: Mapping[str, FlagValue], seed: int
    ) -> Run:
        if driver != self.driver:
            raise StaleDriver("x")
        if member not in self.runs:
            self.runs[member] = Run(
                run_id=f"r{member}",
                name=f"r{member}",
                experiment_id="x",
                experiment="x",
                revision_id="r",
                revision=1,
                runner="cleanrl",
                script="line.py",
                env_id="none",
                seed=seed,
                state=RunState.QUEUED,
                resources=Resources(),
                created_at=NOW,
                execution_id=execution_id,
                member=member,
                hyperparameters=dict(hyperparameters),
            )
        return self.runs[member]

    def move(self, member: int, state: RunState, **changes: Any) -> None:
        self.runs[member] = self.runs[member].model_copy(update={"state": state, **changes})

    def states(self) -> list[RunState]:
        return [run.state for run in self.record("e").runs]

    def final_scores(self, execution_id: str, *, metric: str) -> dict[str, float]:
        return self.scores

    def durations(self, execution_id: str) -> dict[str, float]:
        return {run.run_id: 3600.0 for run in self.runs.values()}

    def commit_exploit(self, exploit: Exploit, *, driver: str) -> ExploitOrder:
        return ExploitOrder(exploit, None)

    def stop_run(self, run_id: str, *, driver: str, reason: str) -> None:
        self.stopped.append((run_id, reason))

    @property
    def executions(self) -> Orchestrator:
        return self

    @property
    def plugins(self) -> Orchestrator:
        return self

    def journal(self, execution_id: str) -> list[JournalEntry]:
        return list(self.calls)

    def carry_out(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        if driver != self.driver:
            raise StaleDriver("x")
        answer = error = None
        try:
            answer = getattr(self, f"_{call.method}")(**call.arguments)
        except PluginMistake as exc:
            error = {"kind": "PluginMistake", "message": str(exc)}
        return self._write(call, answer=answer, error=error, ended_at=NOW)

    def open_call(self, execution_id: str, call: Call, *, driver: str) -> JournalEntry:
        steps = {run.run_id: run.global_step for run in self.runs.values()}
        return self._write(call, created_at=datetime.now(UTC), answer=steps if call.method == "wait" else None)

    def end_call(self, execution_id: str, number: int, *, driver: str, answer: Any = None, error: Any = None) -> None:
        [at] = [index for index, entry in enumerate(self.calls) if entry.number == number]
        changes = {"answer": answer, "error": error, "ended_at": NOW}
        self.calls[at] = self.calls[at].model_copy(update=changes)

    def _write(self, call: Call, **keys: Any) -> JournalEntry:
        keys = {"created_at": NOW} | keys
        entry = JournalEntry(number=call.number or 0, method=call.method, arguments=call.arguments, **keys)
        if call.number is not None:
            self.calls.append(entry)
        return entry

    def _start_run(self, **keys: Any) -> dict[str, Any]:
        order = RunOrder(**keys)
        seed = 7 if order.seed is None else order.seed
        run = self.add_run("e", driver=self.driver, member=order.member, hyperparameters=order.flags, seed=seed)
        return {key: getattr(run, key) for key in ("run_id", "name", "revision_id", "seed")} | {"config": order.flags}

    def _add_note(self, *, call: str, text: str, **about: str) -> bool:
        is_new = call not in self.notes
        self.notes[call] = text
        return is_new

    def _status(self, *, run_id: str) -> str:
        return self.list_runs([run_id])[0].state.value

    def _reward(self, *, run_id: str, metric: str) -> float | str:
        return encode_number(self.list_runs([run_id])[0].episodic_return)

    def _add_revision(self, **keys: Any) -> dict[str, Any]:
        order = RevisionOrder(**keys)
        self.revisions.append(order)
        return self._revision(order).model_dump(mode="json")

    def _revision(self, order: RevisionOrder) -> Revision:
        return Revision(
            revision_id=f"v{order.number}",
            experiment_id="x",
            number=order.number + 2,
            parent_id=order.parent_id,
            digest="",
            runner="cleanrl",
            script="line.py",
            bundle="",
            env_id="none",
            hyperparameters=order.hyperparameters,
            flags={},
            config=order.config,
            resources=Resources(),
            checkpoint=CheckpointPolicy(),
            created_at=NOW,
            name=order.name,
        )

    def list_runs(self, run_ids: Sequence[str]) -> list[Run]:
        return [run for run in self.record("e").runs if run.run_id in run_ids]

    def _find_one(self, *, kind: str, query: dict[str, Any]) -> dict[str, Any]:
        return self.record("e").runs[-1].model_dump(mode="json")

    def _log_tail(self, *, run_id: str, lines: int) -> list[str]:
        return [f"line {number}" for number in range(lines)]

    def end(self, execution_id: str, *, driver: str, state: ExecutionState, reason: str | None = None) -> None:
        self.ended.append((state, reason))


@dataclass
class Engine:
    """Has a trial of each run that is under way, unless the tests keep it from the runs."""

    orchestrator: Orchestrator
    is_late: bool = False
    """Whether the trials have not been added yet."""
    decided: list[str] = field(default_factory=list)
    gave_way: list[str] = field(default_factory=list)

    def has(self, run_id: str) -> bool:
        under_way = {run.run_id for run in self.orchestrator.runs.values() if not run.state.is_final}
        return not self.is_late and run_id in under_way

    def is_held(self, run_id: str) -> bool:
        return False

    def decide(self, run_id: str, order: ExploitOrder | None) -> None:
        self.decided.append(run_id)

    def give_way(self, run_id: str) -> None:
        self.gave_way.append(run_id)

    def is_short_of(self, run_id: str) -> bool:
        return False


def distance(hyperparameters: Mapping[str, Any], optimum: float = 0.3) -> float:
    """Return a score that is best at *optimum*."""
    return -math.fabs(float(hyperparameters["learning_rate"]) - optimum)
