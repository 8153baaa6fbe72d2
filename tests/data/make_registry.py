"""Make ``registry_<schema>.sqlite3`` beside this file: a small registry as this version writes it."""

from __future__ import annotations

import math
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from arena_ray.model.records import Checkpoint, Execution, Exploit, JournalEntry, Milestone, Run
from arena_ray.model.spec import CheckpointPolicy, ExperimentSpec, FlagValue, PluginCall, Resources
from arena_ray.model.states import (
    AttemptOutcome,
    ExecutionState,
    ExploitCause,
    ExploitOutcome,
    Intent,
    PolicyState,
    Resume,
    RunState,
)
from arena_ray.registry.schema import SCHEMAS
from arena_ray.registry.store import Store
from arena_ray.registry.submission import Authorship


def ticking_clock() -> Callable[[], datetime]:
    """Return a clock that goes on by a second each time it is asked."""
    seconds = count()
    return lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=next(seconds))


def counted_ids() -> Callable[[], str]:
    """Return a source of ids that gives the same ones each time the script runs."""
    numbers = count(1)
    return lambda: f"{next(numbers):012x}"


def submit(store: Store, *, seed: int, experiment: str = "first", changed: bool = False) -> Run:
    """Submit a run of the plain or of the changed configuration."""
    hyperparameters: dict[str, FlagValue] = {"learning_rate": 0.001, "layers": [64, 64], "anneal": True}
    spec = ExperimentSpec(
        experiment=experiment,
        project="robots",
        runner="cleanrl",
        script="ppo",
        env_id="CartPole-v1",
        seed=seed,
        hyperparameters=hyperparameters if changed else {},
        resources=Resources(cpu=1, gpu=0.5, memory_gib=2),
        checkpoint=CheckpointPolicy(every_s=10, keep_best=3, keep_latest=2, replay_buffer="auto"),
    )
    return store.submit(spec, flags=dict(spec.hyperparameters), script="ppo", bundle="b" * 64)[0]


def progress(
    store: Store, run: Run, *, attempt: int, boundary: int, episodic_return: float, generation: int = 0
) -> Checkpoint:
    """Say how far the run is, and add a checkpoint of it."""
    step = boundary * 128
    store.record_progress(
        run.run_id,
        attempt=attempt,
        boundary=boundary,
        global_step=step,
        episodic_return=episodic_return,
        steps_per_second=math.nan,
    )
    return store.add_checkpoint(
        run.run_id,
        attempt=attempt,
        boundary=boundary,
        global_step=step,
        uri=f"file:///checkpoints/{run.name}/{step:012d}",
        digest=f"{boundary:064x}",
        policy_digest=f"{boundary:064x}",
        metrics_digest=f"{boundary:064x}",
        size_bytes=240_000,
        episodic_return=episodic_return,
        is_final=boundary == 8,
        generation=generation,
    )


def fill(store: Store) -> None:
    """Write a run of each kind."""
    completed = submit(store, seed=1)
    store.begin_attempt(completed.run_id, node="node-a", resumed_from=None)
    for boundary, episodic_return in ((2, 20.5), (4, 195.0), (8, 475.25)):
        progress(store, completed, attempt=1, boundary=boundary, episodic_return=episodic_return)
    oldest = store.list_checkpoints(completed.run_id)[-1]
    store.remove_checkpoint(oldest.checkpoint_id, reason="keep_latest is 2")
    store.end_attempt(completed.run_id, attempt=1, outcome=AttemptOutcome.COMPLETED)
    store.move_run(completed.run_id, RunState.COMPLETED, attempt=1)

    failed = submit(store, seed=2)
    store.begin_attempt(failed.run_id, node="node-a", resumed_from=None)
    store.end_attempt(failed.run_id, attempt=1, outcome=AttemptOutcome.FAILED, reason="ValueError")
    store.move_run(failed.run_id, RunState.FAILED, attempt=1, reason="ValueError, exit code 1")

    paused = submit(store, seed=3, changed=True)
    store.move_run(paused.run_id, RunState.PAUSED, reason="paused by the user")

    running = submit(store, seed=4, changed=True)
    store.begin_attempt(running.run_id, node="node-a", resumed_from=None)
    progress(store, running, attempt=1, boundary=2, episodic_return=math.nan)
    source = store.list_checkpoints(running.run_id)[0]
    store.begin_attempt(running.run_id, node="node-b", resumed_from=source.checkpoint_id)
    progress(store, running, attempt=2, boundary=3, episodic_return=9.5)
    store.request(running.run_id, Intent.STOP)

    submit(store, seed=1, experiment="second")


def hold(store: Store, run: Run, *, number: int, score: float, generation: int = 0) -> Milestone:
    """Let the run hold at a milestone in its first attempt."""
    checkpoint = progress(store, run, attempt=1, boundary=number * 4, episodic_return=score, generation=generation)
    return store.add_milestone(
        run.run_id,
        attempt=1,
        number=number,
        boundary=checkpoint.boundary,
        global_step=checkpoint.global_step,
        score=score,
        checkpoint_id=checkpoint.checkpoint_id,
    )


def decide(store: Store, clone: Milestone, donor: Milestone, *, generation: int, learning_rate: float) -> None:
    """Commit that the clone takes over the donor."""
    run = store.require_run(clone.run_id)
    assert run.execution_id is not None
    exploit = Exploit(
        execution_id=run.execution_id,
        run_id=clone.run_id,
        generation=generation,
        milestone=clone.number,
        boundary=clone.boundary,
        global_step=clone.global_step,
        score=clone.score,
        donor_run_id=donor.run_id,
        donor_generation=donor.generation,
        donor_milestone=donor.number,
        donor_checkpoint_id=donor.checkpoint_id,
        donor_digest=f"{donor.boundary:064x}",
        donor_score=donor.score,
        hyperparameters_before=run.hyperparameters,
        hyperparameters={"learning_rate": learning_rate},
        cause=ExploitCause.DIVERGED if math.isnan(clone.score) else ExploitCause.QUANTILE,
        created_at=donor.created_at,
    )
    store.commit_exploit(exploit)


def fill_population(store: Store) -> None:
    """Write an execution that has ended, and one whose three runs exploit each other."""
    settings = {"population": 3, "perturbation_interval": 512}
    spec = ExperimentSpec(
        experiment="third",
        runner="cleanrl",
        script="ppo",
        env_id="CartPole-v1",
        plugin=PluginCall(name="pbt", settings=settings),
    )
    source: dict[str, str] = {"script": "ppo", "bundle": "b" * 64}
    call = {"plugin": "pbt", "settings": settings, "flags": {"total_timesteps": 4096}} | source
    ended, _ = store.begin_execution(spec, digest="d" * 64, **call)
    store.move_execution(ended.execution_id, ExecutionState.STOPPED, reason="stopped by the user")
    execution, _ = store.begin_execution(spec, digest="d" * 64, **call)
    runs = []
    for member in range(3):
        drawn: dict[str, FlagValue] = {"learning_rate": 0.001 * (member + 1), "gamma": 0.99}
        of_member = spec.model_copy(update={"hyperparameters": drawn})
        seat = {"execution_id": execution.execution_id, "member": member}
        runs.append(store.submit(of_member, flags=drawn, **source, **seat)[0])
        store.begin_attempt(runs[-1].run_id, node="node-a", resumed_from=None)
    donor, clone, diverged = runs

    first = hold(store, donor, number=1, score=195.0)
    decide(store, hold(store, clone, number=1, score=20.5), first, generation=1, learning_rate=0.0012)
    decide(store, hold(store, diverged, number=1, score=math.nan), first, generation=1, learning_rate=0.0008)
    store.settle_exploit(clone.run_id, attempt=1, generation=1, outcome=ExploitOutcome.APPLIED)
    failure = {"outcome": ExploitOutcome.FAILED, "reason": "shapes differ"}
    store.settle_exploit(diverged.run_id, attempt=1, generation=1, **failure)
    second = hold(store, donor, number=2, score=475.25)
    at_second = hold(store, clone, number=2, score=180.0, generation=1)
    decide(store, at_second, second, generation=2, learning_rate=0.00144)
    store.end_attempt(diverged.run_id, attempt=1, outcome=AttemptOutcome.PREEMPTED, reason="gave way to another run")
    store.move_run(diverged.run_id, RunState.QUEUED, attempt=1, reason="gave way to another run")


def fill_plugin(store: Store) -> None:
    """Write an execution whose plugin has made a revision, a run of it and notes."""
    spec = ExperimentSpec(
        experiment="fourth",
        runner="cleanrl",
        script="dqn",
        env_id="CartPole-v1",
        plugin=PluginCall(name="my_plugin", settings={}),
    )
    source: dict[str, str] = {"script": "dqn", "bundle": "c" * 64}
    execution, _ = store.begin_execution(spec, plugin="my_plugin", settings={}, digest="e" * 64, flags={}, **source)
    base = store.base_revision(execution.execution_id)
    tuned = spec.model_copy(update={"hyperparameters": {"learning_rate": 0.001}})
    author = Authorship(
        execution.execution_id, "revision 0", parent_id=base.revision_id, name="Test-Config", notes="a first try"
    )
    revision = store.add_revision(tuned, flags=dict(tuned.hyperparameters), author=author, **source)
    run, _ = store.submit(
        tuned,
        flags=dict(tuned.hyperparameters),
        execution_id=execution.execution_id,
        member=0,
        revision_id=revision.revision_id,
        description="Testing hyperparameters",
        **source,
    )
    store.add_note(execution.experiment_id, "📊 begun", execution_id=execution.execution_id, call="note 0")
    store.add_note(execution.experiment_id, "no return", run_id=run.run_id)
    store.add_note(execution.experiment_id, "tuned", revision_id=revision.revision_id)
    fill_journal(store, execution)


def fill_journal(store: Store, execution: Execution) -> None:
    """Write down calls: one that was answered, one that was repeated, one that was refused, one that waits."""
    keys = {"created_at": execution.created_at, "ended_at": execution.created_at}
    calls = [("status", "queued", None), ("status", "queued", None), ("run", None, {"kind": "NotFound", "message": ""})]
    for number, (method, answer, error) in enumerate(calls):
        entry = JournalEntry(number=number, method=method, arguments={}, answer=answer, error=error, **keys)
        store.add_plugin_call(execution.execution_id, entry)
    waiting = JournalEntry(
        number=3, method="wait", arguments={"steps": 5}, answer={"r": 1}, **keys | {"ended_at": None}
    )
    store.add_plugin_call(execution.execution_id, waiting)


def fill_policies(store: Store) -> None:
    """Write a policy with two versions, the newer one of which answers, and one that failed."""
    run = store.list_runs(experiment="first")[0]
    older, newer = store.list_checkpoints(run.run_id)[::-1]
    for checkpoint in (older, newer):
        keys = {
            "run_id": run.run_id,
            "checkpoint_id": checkpoint.checkpoint_id,
            "digest": f"{checkpoint.boundary:064x}",
        }
        version = store.add_policy_version("cartpole", **keys)
        store.move_policy_version("cartpole", version.version, PolicyState.SERVING)
    failed = store.add_policy_version("broken", run_id=run.run_id, checkpoint_id=older.checkpoint_id, digest="")
    store.move_policy_version("broken", failed.version, PolicyState.FAILED, reason="it does not act")


def fill_resume(store: Store) -> None:
    """Say of one run that it resumes exactly, and of another why it does not."""
    completed, _, _, running, _ = store.list_runs()[:5]
    store.record_resume(completed.run_id, attempt=1, resume=Resume.EXACT, reason=None)
    store.record_resume(running.run_id, attempt=2, resume=Resume.WARM, reason="not captured: envs (TypeError: no)")


def main() -> None:
    """Write the file, packed into small pages."""
    target = Path(__file__).with_name(f"registry_{SCHEMAS[-1]}.sqlite3")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.sqlite3"
        with Store.open(f"sqlite:///{path}", clock=ticking_clock(), new_id=counted_ids()) as store:
            fill(store)
            fill_population(store)
            fill_plugin(store)
            fill_policies(store)
            fill_resume(store)
        with closing(sqlite3.connect(path)) as connection:
            for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "VACUUM"):
                connection.execute(statement)
        target.write_bytes(path.read_bytes())
    print(f"{target} ({target.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
