"""A stage for plugins: their functions at work on trainings that a function of the test's stands for."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from arena_ray.host.connection import Connection
from arena_ray.host.invocation import invoke, reason_of, spelled
from arena_ray.model.errors import PluginMistake
from arena_ray.model.records import Note, ProposedRevision, Revision, Run
from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.model.states import ExecutionState, Scope
from arena_ray.plugin.protocol import PluginStopped
from arena_ray.plugin.schema import check_settings
from arena_ray.scheduling.looking import verdict_of
from arena_ray.testing.plugins import require_plugin
from arena_ray.testing.stage_calls import answers_to_gatekeeper, answers_to_watcher, calls_on, require_scope
from arena_ray.testing.stage_connection import (
    CutShort,
    LookingConnection,
    ReplayConnection,
    ReplayDiffers,
    SteeringConnection,
    Stop,
    travelled,
)
from arena_ray.testing.stage_records import EXPERIMENT_ID, StageRecords
from arena_ray.testing.staged_script import PPO, StagedScript
from arena_ray.testing.training import Pace, StageClock, StagedRun, Train, nothing, steps_of


class PluginStage:
    """Lets a plugin's function work as it would on a cluster, with the code that carries out its calls there.

    There is one experiment, with one revision. Time is the stage's own: it passes while the function waits, and a
    little with each call. Runs train side by side. No process is started; nothing is written to disk but reports.

    Args:
        plugin: The function that ``@register_plugin`` marks.
        settings: What a user would give; defaults are filled in.
        train: Stands for the script: what a run has reached at a step. It raises :class:`TrainingFails` or
            :class:`TrainingHangs` where a run should fail or hang.
        script: The script's flags with their defaults, or the file that declares them. What the plugin gives to it is
            checked against these.
        hyperparameters: Those of the experiment file.
        flags: Other flags there.
        config: The nested configuration there; only with one does the script take any.
        env_id: The environment there.
        seed: The seed there.
        minutes_a_run: How long a run trains.
        reports: How often it tells meanwhile what it has reached.
        most_calls: After so many calls a function is taken for one that never ends.

    Raises:
        SpecError: The function is no plugin, does not take these settings, or the script not these flags.
    """

    def __init__(
        self,
        plugin: Callable[..., Any],
        settings: Mapping[str, Any] | None = None,
        *,
        train: Train = nothing,
        script: Mapping[str, FlagValue] | Path = PPO,
        hyperparameters: Mapping[str, FlagValue] | None = None,
        flags: Mapping[str, FlagValue] | None = None,
        config: Mapping[str, Any] | None = None,
        env_id: str = "CartPole-v1",
        seed: int = 1,
        minutes_a_run: float = 10.0,
        reports: int = 10,
        most_calls: int = 50_000,
    ) -> None:
        self.plugin = require_plugin(plugin)
        self._settings = check_settings(self.plugin.schema, settings or {}, place=f"plugin {self.plugin.name}")
        self._script = StagedScript.declared(script, has_config=config is not None)
        self._spec = ExperimentSpec(
            experiment="stage",
            runner="stage",
            script="script.py",
            env_id=env_id,
            hyperparameters=dict(hyperparameters or {}),
            flags=dict(flags or {}),
            config=dict(config or {}),
            seed=seed,
        )
        self._records = StageRecords(
            self._spec,
            self.plugin,
            self._settings,
            script=self._script,
            train=train,
            clock=StageClock(),
            pace=Pace(minutes_a_run * 60.0, reports),
        )
        self.reports = reports
        """How often a run tells what it has reached."""
        self.steps = steps_of(self._script.values(self._records.base_revision("").flags))
        """How long a run is."""
        self._most_calls = most_calls
        self.reports_folder = Path(tempfile.gettempdir()) / f"arena-stage-{uuid.uuid4().hex}"
        """Where the plugin's reports lie, as long as the stage is there."""
        weakref.finalize(self, shutil.rmtree, self.reports_folder, ignore_errors=True)
        self.state: ExecutionState | None = None
        """How the execution has ended; None before."""
        self.reason: str | None = None
        """Why it has failed."""
        self._steering: SteeringConnection | None = None

    @property
    def runs(self) -> list[Run]:
        """The runs as they are now, oldest first; see :class:`arena_ray.model.records.Run`."""
        return self._records.list_runs()

    @property
    def revisions(self) -> list[Revision]:
        """The revisions, by number; the first is the experiment's own."""
        return self._records.list_revisions(EXPERIMENT_ID)

    @property
    def notes(self) -> list[Note]:
        """The notes, oldest first: each has a ``text``, and the ``run_id`` or ``revision_id`` of what it is on."""
        return self._records.list_notes(EXPERIMENT_ID)

    @property
    def deployed(self) -> list[tuple[str, str]]:
        """The names that were deployed, each with the run's id, oldest first."""
        return list(self._records.deployed)

    @property
    def minutes(self) -> float:
        """How much time has passed."""
        return self._records.clock.seconds / 60.0

    def add_run(
        self, *, hyperparameters: Mapping[str, FlagValue] | None = None, seed: int | None = None, minutes: float = 0.0
    ) -> Run:
        """Queue a run that somebody else starts, let it train for a while, and return it.

        Args:
            hyperparameters: Those that are other than in the experiment file.
            seed: Its seed; by default the experiment file's.
            minutes: How long it trains before the plugin sees it; others train meanwhile.

        Raises:
            SpecError: The script does not take these hyperparameters.
        """
        merged = self._spec.hyperparameters | dict(hyperparameters or {})
        changes = {"hyperparameters": merged, "seed": self._spec.seed if seed is None else seed}
        spec = self._spec.model_copy(update=changes)
        run, _ = self._records.submit(spec, flags=self._script.check(spec), script=spec.script, bundle="staged")
        self._records.pass_to(self._records.clock.seconds + minutes * 60.0)
        return self._records.require_run(run.run_id)

    @property
    def calls(self) -> int:
        """How many calls of the api were answered in :meth:`run`."""
        return len(self._steering.journal) if self._steering else 0

    def run(self, *, stop_at_call: int | None = None, stop_after_minutes: float | None = None) -> Any:
        """Call a function with scope experiment, and return what it returns; None where it was stopped.

        ``stage.state`` says then how the execution has ended, and ``stage.reason`` why it has failed.

        Args:
            stop_at_call: The call, counted from 0, at which the user stops it.
            stop_after_minutes: After how much time the user stops it.

        Raises:
            AssertionError: It waits for what never ends, or makes calls without end.
            Exception: What the function raises.
        """
        require_scope(self.plugin, Scope.EXPERIMENT, "run")
        if self._steering is not None:
            raise PluginMistake("this stage was played on; make another one for another run")
        stop = Stop(stop_at_call) if stop_after_minutes is None else Stop(stop_at_call, stop_after_minutes * 60.0)
        self._steering = SteeringConnection(
            self._records, calls_on(self._records), stop=stop, most_calls=self._most_calls
        )
        try:
            returned = self._invoke(self._steering)
        except BaseException as exc:
            if not (isinstance(exc, PluginStopped) and self._steering.stopping.is_set()):
                self.state, self.reason = ExecutionState.FAILED, reason_of(exc, self.plugin.origin)
                raise
            returned = None
        is_stopped = self._steering.stopping.is_set()
        self.state = ExecutionState.STOPPED if is_stopped else ExecutionState.COMPLETED
        return returned

    def check_replay(self) -> None:
        """Call the function again, as after the death of its process, with the answers that it got in :meth:`run`.

        Raises:
            AssertionError: It asks for something else than before: for what first, in which line.
        """
        steering = self._steering
        if steering is None:
            raise PluginMistake("there is nothing to replay before run()")
        replay = ReplayConnection(steering.journal, stopped_at=steering.stopped_at)
        try:
            self._invoke(replay)
        except PluginStopped:
            pass
        except ReplayDiffers:
            raise
        except Exception:
            if self.state is not ExecutionState.FAILED:
                raise
        replay.require_end()

    def look(self, step: int, *, run: int = 0, generation: int = 0) -> tuple[str, str]:
        """Let a function with scope run look at a run that has come to a step, and do what it says.

        Args:
            step: Counted as the script does. The run trains up to it first.
            run: Its number, from 0. Where there are fewer they are started, each with the next seed.
            generation: How many exploits it has been through.

        Returns:
            ``continue``, ``stop`` or ``pause``, and why.

        Raises:
            PluginMistake: The function says something else; or the run does not train any more.
        """
        require_scope(self.plugin, Scope.RUN, "look")
        record = self._records.train_to(step, self._staged(run))
        names = ("name", "attempt", "global_step", "episodic_return", "steps_per_second")
        metadata = {name: getattr(record, name) for name in names}
        said = self._invoke(
            LookingConnection(answers_to_watcher(self._records)),
            occasion=f"{record.run_id}@{record.attempt}.{record.global_step}.",
            target_id=record.run_id,
            generation=generation,
            metadata=metadata,
        )
        word, why = verdict_of(travelled({"verdict": spelled(said)})).on_run()
        reason = f"by plugin {self.plugin.name}" + (f": {why}" if why else "")
        if word == "stop":
            self._records.stop_run(record.run_id, f"stopped {reason}")
        elif word == "pause":
            self._records.staged_run(record.run_id).pause(f"paused {reason}")
        return word, why

    def propose(self, **changes: Any) -> list[str]:
        """Let a function with scope revision look at a revision, and return why it refuses it: nothing if it is good.

        Args:
            changes: What is other than in the experiment file, by its keys: ``hyperparameters``, ``flags``, ``config``,
                ``env_id``, ``resources``, ``checkpoint``.

        Raises:
            SpecError: An experiment file cannot say that, or the script does not take it.
        """
        require_scope(self.plugin, Scope.REVISION, "propose")
        merged = {
            key: {**getattr(self._spec, key), **value} if key in ("hyperparameters", "flags") else value
            for key, value in changes.items()
        }
        spec = ExperimentSpec.model_validate(self._spec.model_dump() | merged)
        revision = ProposedRevision.of(spec, flags=self._script.check(spec))
        said = self._invoke(
            LookingConnection(answers_to_gatekeeper(self._records)),
            target_id=revision.digest(),
            execution_id="",
            metadata=revision.model_dump(mode="json"),
        )
        return list(verdict_of(travelled({"verdict": spelled(said)})).said)

    def _invoke(self, connection: Connection, *, occasion: str = "", **context: Any) -> Any:
        keys = {
            "plugin_name": self.plugin.name,
            "scope": self.plugin.scope.value,
            "target_id": EXPERIMENT_ID,
            "execution_id": self._records.execution.execution_id,
            "experiment_id": EXPERIMENT_ID,
            "experiment": self._spec.experiment,
            "settings": self._settings,
        }
        try:
            return invoke(
                self.plugin.function, keys | context, connection, reports=self.reports_folder, occasion=occasion
            )
        except CutShort as cut:
            raise cut.reason from None

    def _staged(self, number: int) -> StagedRun:
        while len(self._records.staged) <= number:
            self.add_run(seed=self._spec.seed + len(self._records.staged))
        return self._records.staged[number]
