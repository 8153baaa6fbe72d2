"""The api of a plugin's function: what it asks for goes to the driver, and on to the orchestrator.

Every call is written down there with its answer. When the process of the plugin is started anew its function begins
from the top, and is given the same answers until it has come to where it was.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena_ray.host.connection import Connection
from arena_ray.host.database import RegistryDatabase
from arena_ray.host.mutation import mutate
from arena_ray.host.notes import Notes
from arena_ray.host.reports import save_report
from arena_ray.host.run import HostedRun, get_metrics
from arena_ray.model.errors import PluginMistake, nearest
from arena_ray.model.records import Revision
from arena_ray.model.spec import FlagValue
from arena_ray.plugin.handles import Metrics, PluginRun, RunEnd
from arena_ray.plugin.study import Mode, Study, StudyResult, study_to_data


class HostedApi:
    """See :class:`arena_ray.plugin.protocol.PluginApi`.

    Args:
        connection: Where its calls go.
        execution_id: What draws of random numbers begin with.
        notes: Writes the notes.
        reports: Where reports on the experiment lie.
    """

    def __init__(self, connection: Connection, *, execution_id: str, notes: Notes, reports: Path) -> None:
        self._connection = connection
        self._execution_id = execution_id
        self._notes = notes
        self._reports = reports
        self._revisions = itertools.count()
        self._members = itertools.count()
        self._mutations = itertools.count()
        self._parent: str | None = None
        self.db = RegistryDatabase(connection)

    if not TYPE_CHECKING:  # for who types a name wrong, not for checkers of types

        def __getattr__(self, name: str) -> Any:
            """Raise an AttributeError that names the nearest there is."""
            known = ["db", *(each for each in dir(type(self)) if not each.startswith("_"))]
            raise AttributeError(f"the api has no {name!r}; {nearest(name, known)}")

    def create_revision(
        self,
        name: str,
        *,
        hyperparameters: Mapping[str, FlagValue] | None = None,
        flags: Mapping[str, FlagValue] | None = None,
        config_updates: Mapping[str, Any] | None = None,
        merge_strategy: str = "deep",
        environment_id: str | None = None,
        parent_revision_id: str | None = None,
        notes: str = "",
    ) -> Revision:
        """Make a revision; the next runs are of it."""
        if merge_strategy not in ("deep", "shallow"):
            raise PluginMistake(f"merge_strategy is 'deep' or 'shallow', not {merge_strategy!r}")
        answer = self._connection.call_unless_stopped(
            "add_revision",
            number=next(self._revisions),
            name=name,
            notes=notes,
            parent_id=parent_revision_id or self._parent,
            hyperparameters=dict(hyperparameters or {}),
            flags=dict(flags or {}),
            config=dict(config_updates or {}),
            is_deep=merge_strategy == "deep",
            env_id=environment_id,
        )
        revision = Revision.model_validate(answer)
        self._parent = self._notes.last["revision"] = revision.revision_id
        return revision

    def create_revision_with_hyperparameters(
        self, name: str, hyperparameters: Mapping[str, FlagValue], behavior_name: str | None = None, notes: str = ""
    ) -> Revision:
        """Make a revision with other hyperparameters; the next runs are of it."""
        if behavior_name is None:
            return self.create_revision(name, hyperparameters=hyperparameters, notes=notes)
        updates = {"behaviors": {behavior_name: {"hyperparameters": dict(hyperparameters)}}}
        return self.create_revision(name, config_updates=updates, notes=notes)

    def create_revision_with_config_updates(
        self, name: str, config_updates: Mapping[str, Any], merge_strategy: str = "deep", notes: str = ""
    ) -> Revision:
        """Make a revision with another nested configuration; the next runs are of it."""
        return self.create_revision(name, config_updates=config_updates, merge_strategy=merge_strategy, notes=notes)

    def create_run(
        self, config: Mapping[str, FlagValue] | None = None, description: str = "", *, seed: int | None = None
    ) -> HostedRun:
        """Queue a run of the revision that this execution made last, or else of the experiment's own."""
        answer = self._connection.call_unless_stopped(
            "start_run",
            member=next(self._members),
            revision_id=self._parent,
            flags=dict(config or {}),
            description=description,
            seed=seed,
        )
        run = HostedRun(answer, connection=self._connection, notes=self._notes)
        self._notes.last["run"] = run.run_id
        return run

    def get_run(self, run_id: str) -> HostedRun:
        """Return a run of the experiment."""
        answer = self._connection.call("run", run_id=run_id)
        return HostedRun(answer, connection=self._connection, notes=self._notes)

    def get_metrics(
        self, run_id: str, metric_names: Sequence[str] | str | None = None, *, max_points: int = 200
    ) -> Metrics:
        """Return what a run's script has logged."""
        return get_metrics(self._connection, run_id, metric_names, max_points=max_points)

    def get_ranking(self, metric_name: str | None = None, mode: Mode | None = None) -> dict[str, Any]:
        """Return the experiment's configurations over their seeds, the best first."""
        answer: dict[str, Any] = self._connection.call("ranking", metric=metric_name, mode=mode)
        return answer

    def get_importance(self, metric_name: str | None = None, mode: Mode | None = None) -> dict[str, Any]:
        """Return how much each hyperparameter has to do with what was reached."""
        answer: dict[str, Any] = self._connection.call("importance", metric=metric_name, mode=mode)
        return answer

    def get_experiment_data(self) -> dict[str, Any]:
        """Return the experiment with its revisions, runs and notes."""
        answer: dict[str, Any] = self._connection.call("experiment_data")
        return answer

    def stop_run(self, run_id: str, reason: str = "") -> None:
        """Ask for a run's end."""
        self._connection.call("stop_run", run_id=run_id, reason=str(reason))

    def wait_for_completion(
        self, runs: Sequence[PluginRun] | PluginRun, timeout_minutes: float | None = None
    ) -> dict[str, RunEnd]:
        """Wait until all of *runs* are over and return how each ended, by its id."""
        listed = list(runs) if isinstance(runs, Sequence) else [runs]
        timeout_minutes = None if timeout_minutes == math.inf else timeout_minutes
        answer = self._connection.call_unless_stopped(
            "wait_for_completion", run_ids=[run.run_id for run in listed], timeout_minutes=timeout_minutes
        )
        ends: dict[str, RunEnd] = answer["ends"]
        return ends

    def wait(self, seconds: float = 0.0, minutes: float = 0.0, steps: int = 0) -> None:
        """Wait that long, or until the runs of this execution have trained so many steps more."""
        self._connection.call_unless_stopped("wait", seconds=seconds + minutes * 60.0, steps=steps)

    def add_note(self, message: str, target_type: str | None = None, *, key: str | None = None) -> bool:
        """Write a note, also after a stop, and return whether it was not there yet."""
        return self._notes.add(str(message), target_type, key=key)

    def save_report(self, name: str, markdown: str, *, files: Mapping[str, bytes] | None = None) -> str:
        """Write a report on the experiment, and return its path."""
        return save_report(self._reports, name, markdown, files or {})

    def log(self, message: str, level: str = "info", metadata: Mapping[str, Any] | None = None) -> None:
        """Write a line to the execution's own log, unless it was written before the function began anew."""
        if not self._connection.is_repeating:
            told = f" {json.dumps(dict(metadata), default=str)}" if metadata else ""
            print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {level.upper()} {message}{told}", flush=True)

    def mutate_config(self, base: Mapping[str, Any], rate: float = 0.2) -> dict[str, Any]:
        """Return *base* with each number changed at random by up to *rate* of itself."""
        return mutate(base, rate, seed=f"{self._execution_id}/{next(self._mutations)}")

    def tune(self, **keys: Any) -> StudyResult:
        """Train runs over a search space and return when all of them are over."""
        answer = self._connection.call_unless_stopped(
            "tune", study=study_to_data(Study(**{"num_samples": None} | keys))
        )
        return StudyResult.model_validate(answer)

    def deploy(self, run: PluginRun | str, name: str, *, select: str = "best") -> int:
        """Let a checkpoint of a run answer under a name, and return the number of the version."""
        run_id = run if isinstance(run, str) else run.run_id
        return int(self._connection.call_unless_stopped("deploy", run_id=run_id, name=name, select=select))

    def is_llm_available(self) -> bool:
        """Return False: no language model comes with arena_ray."""
        return False

    def llm(self, prompt: str) -> str:
        """Refuse: there is none."""
        raise PluginMistake(
            "no language model comes with arena_ray; ask one by its own package, "
            "and look at is_llm_available() before you call llm()"
        )
