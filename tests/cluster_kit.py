"""What the tests on real Ray share: a cluster with its client, its processes found by what they are, patience."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import PATIENCE_S, wait_until

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Lineage, Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import ExecutionState, ExploitOutcome, RunState
from arena_ray.orchestrator.client import ArenaClient
from arena_ray.orchestrator.local import keeper_of
from arena_ray.runner import preflight
from arena_ray.runner.discovery import load_runners

SCRIPTS = Path(__file__).parent / "scripts"
SPACE = {"learning_rate": {"loguniform": [1e-4, 0.2]}}
_numbers = itertools.count(1)
RAISED = next(
    f"ValueError: this pass was to raise (line {number})"
    for number, line in enumerate((SCRIPTS / "counter.py").read_text().splitlines(), start=1)
    if "this pass was to raise" in line
)
"""How a run of counter.py that was told to raise says why it failed."""


@dataclass
class Arena:
    """A cluster as its user sees it, and its processes as a murderer sees them."""

    workspace: Workspace
    client: ArenaClient
    runners: Any = field(default_factory=lambda: load_runners().runners)

    def start(self, script: str = "counter.py", *, force_new: bool = False, **keys: Any) -> Run:
        """Start a run of a test script (or a shipped one) in an experiment of its own, unless one is named."""
        named = {"experiment": f"x{next(_numbers)}", "runner": "cleanrl", "script": script, "env_id": "CartPole-v1"}
        spec = ExperimentSpec.model_validate(named | keys)
        submission = preflight.prepare(spec, base=SCRIPTS, runners=self.runners)
        started = self.client.start(submission, force_new=force_new).run
        assert started is not None, "a plugin's experiment has no run of its own"
        return started

    def start_plugin(self, script: str, **keys: Any) -> str:
        """Start a plugin's experiment of a test script (or a shipped one), and return its name."""
        name = f"x{next(_numbers)}"
        named = {"experiment": name, "runner": "cleanrl", "script": script, "env_id": "CartPole-v1"}
        spec = ExperimentSpec.model_validate(named | keys)
        self.client.start(preflight.prepare(spec, base=SCRIPTS, runners=self.runners))
        return name

    def run(self, run: Run) -> Run:
        return self.client.run(run.run_id)

    def wait_for(self, run: Run, *states: RunState, timeout_s: float = PATIENCE_S) -> Run:
        """Wait until the run is in one of *states*; a run that ended otherwise fails at once."""

        def arrived() -> Run | None:
            now = self.run(run)
            if now.state in states:
                return now
            assert not now.state.is_final, f"{now.name} is {now.state}: {now.reason}"
            return None

        return wait_until(arrived, timeout_s=timeout_s, what=f"{run.name} {states}")

    def wait_for_step(self, run: Run, step: int, *, attempt: int = 1) -> Run:
        """Wait until the run is at this step, in this attempt or a later one."""

        def is_there() -> Run | None:
            now = self.run(run)
            return now if now.global_step >= step and now.attempt >= attempt else None

        return wait_until(is_there, what=f"step {step} of {run.name}")

    def wait_for_checkpoint(self, run: Run) -> None:
        wait_until(lambda: self.client.checkpoints(run.run_id), what=f"a checkpoint of {run.name}")

    def complete(self, run: Run, *, timeout_s: float = PATIENCE_S) -> Run:
        return self.wait_for(run, RunState.COMPLETED, timeout_s=timeout_s)

    def trainings(self) -> list[psutil.Process]:
        """Return all training processes that there are at the moment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = process.cmdline()
                is_ours = Path(process.cwd()).is_relative_to(self.workspace.training)
                if is_ours and "--attempt" in words and "guard.py" not in " ".join(words):
                    found.append(process)
        return found

    def training_of(self, run: Run) -> psutil.Process:
        """Return the training process of the run's newest attempt, as soon as there is one."""

        def find() -> psutil.Process | None:
            directory = self.workspace.run(run.name).attempt(self.run(run).attempt)
            for process in self.trainings():
                with suppress(psutil.Error):
                    if Path(process.cwd()) == directory:
                        return process
            return None

        return wait_until(find, what=f"a training process of {run.name}")

    def guard_of(self, run: Run) -> psutil.Process:
        return self.training_of(run).parent()

    def actor_of(self, run: Run) -> psutil.Process:
        """Return the run actor: the process that holds the other end of the guard's leash."""
        guard = self.guard_of(run)
        number = guard.cmdline()[4]
        leash = Path(f"/proc/{guard.pid}/fd/{number}").readlink()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                opened = {fd.readlink() for fd in Path(f"/proc/{process.pid}/fd").iterdir()}
                if leash in opened and process.pid != guard.pid:
                    return process
        raise AssertionError(f"nobody holds the leash of {guard}")

    def services(self, title: str) -> list[psutil.Process]:
        """Return the cluster's processes whose Ray title begins so: ``OrchestratorActor``, ``DriverActor`` …"""
        keeper = keeper_of(self.workspace)
        found = []
        for process in keeper.children(recursive=True) if keeper else ():
            with suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(f"ray::{title}"):
                    found.append(process)
        return found

    def kill_services(self, title: str) -> None:
        """Kill all processes of that title, and wait until others have taken their place."""
        victims = wait_until(lambda: self.services(title), what=title)
        for victim in victims:
            victim.kill()
        pids = {victim.pid for victim in victims}
        wait_until(lambda: {process.pid for process in self.services(title)} - pids, what=f"another {title}")

    @staticmethod
    def processes_naming(text: str) -> list[str]:
        """Return the command lines of all processes that have *text* in them or work in a directory that has."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if text in " ".join(process.cmdline()) or text in process.cwd():
                    found.append(f"{process.pid}: {' '.join(process.cmdline())}")
        return found


def start_population(
    arena: Arena,
    *,
    cpu: float = 0.5,
    flags: dict[str, object] | None = None,
    checkpoint: dict[str, object] | None = None,
    **settings: object,
) -> str:
    """Start a population on the line, and return its experiment's name."""
    given = {"population": 4, "perturbation_interval": 100, "param_space": SPACE, "min_gap": 0.01} | settings
    plugin = {"name": "pbt", "settings": given}
    keys = {"resources": {"cpu": cpu}, "checkpoint": checkpoint or {"every_s": 60}}
    return arena.start_plugin("line.py", plugin=plugin, flags=flags or {}, **keys)


def ended(
    arena: Arena,
    experiment: str,
    state: ExecutionState = ExecutionState.COMPLETED,
    *,
    timeout_s: float = PATIENCE_S,
) -> Lineage:
    """Wait for the end of the experiment's plugin, and check what holds of all that have ended."""

    def find() -> Lineage | None:
        lineage = arena.client.lineage(experiment)
        return lineage if lineage.execution is not None and lineage.execution.state.is_final else None

    lineage = wait_until(find, timeout_s=timeout_s, what=f"the end of {experiment}")
    assert lineage.execution.state is state, lineage.execution.reason
    check_truth(arena, lineage)
    return lineage


def check_truth(arena: Arena, lineage: Lineage) -> None:
    """Check that what the lineage tells is what the scripts have logged."""
    assert all(one.outcome is not ExploitOutcome.COMMITTED for one in lineage.exploits), "one is half done"
    for run in lineage.runs:
        own = [one for one in lineage.exploits if one.run_id == run.run_id and one.outcome is ExploitOutcome.APPLIED]
        assert run.generation == max((one.generation for one in own), default=0)
        if not own:
            continue
        rates = {step: value for step, value, _ in arena.client.metrics(run.run_id, "charts/learning_rate")[0].points}
        for exploit in own:
            until = min((one.global_step for one in own if one.generation > exploit.generation), default=10**9)
            after = [rate for step, rate in rates.items() if exploit.global_step <= step < until]
            assert after == pytest.approx([exploit.hyperparameters["learning_rate"]] * len(after))
