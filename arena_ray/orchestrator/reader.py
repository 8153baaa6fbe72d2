"""Reading without a cluster: the same questions as the client's, answered from the registry and the archives."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from arena_ray.model.certificate import Certificate
from arena_ray.model.errors import ArenaError, ClusterUnavailable, NotFound, RegistryEmpty
from arena_ray.model.records import Lineage
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import (
    GatewayAddress,
    LogLine,
    LogPage,
    MetricSeries,
    Policy,
    get_gateway,
    log_page,
    series_by_tag,
)
from arena_ray.orchestrator.comparison import Comparing
from arena_ray.orchestrator.final_scores import FinalScores

if TYPE_CHECKING:
    from arena_ray.model.configurations import ConfigurationRanking
    from arena_ray.model.importance import Importance
    from arena_ray.model.paths import Workspace
    from arena_ray.model.records import Attempt, Checkpoint, Execution, Experiment, Note, Revision, Run
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.plugin.study import Mode
    from arena_ray.registry.store import Store

LOG_PAGE_LINES = 5000
_FIND_TIMEOUT_S = 3.0
_FIND_PAUSE_S = 0.1


class Reader(Protocol):
    """What can be asked about experiments, whoever answers."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def experiments(self) -> list[Experiment]:
        """Return all experiments."""
        ...

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of this *name* or id."""
        ...

    def executions(self, name: str) -> list[Execution]:
        """Return the plugin executions of an experiment, newest first."""
        ...

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        """Return where the weights of the runs come from, in the newest plugin execution or the one of this id."""
        ...

    def certificate(self, name: str, execution: str | None = None) -> Certificate:
        """Return what each cell of the newest plugin execution came to, or of the one of this id."""
        ...

    def ranking(
        self, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> ConfigurationRanking:
        """Return the configurations of an experiment with what was reached over their seeds, the best first."""
        ...

    def importance(
        self, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> Importance:
        """Return how much each hyperparameter has to do with what the runs of an experiment have reached."""
        ...

    def revisions(self, name: str) -> list[Revision]:
        """Return the revisions of an experiment, by number."""
        ...

    def notes(self, name: str) -> list[Note]:
        """Return the notes on an experiment and its runs, oldest first."""
        ...

    def revision(self, revision_id: str) -> Revision:
        """Return the revision of this id."""
        ...

    def runs(self, experiment: str | None = None, state: RunState | str | None = None) -> list[Run]:
        """Return the runs, of one *experiment* or in one *state* where given."""
        ...

    def run(self, key: str) -> Run:
        """Return the run of this name, id or unique prefix."""
        ...

    def attempts(self, key: str) -> list[Attempt]:
        """Return the attempts of a run, oldest first."""
        ...

    def checkpoints(self, key: str) -> list[Checkpoint]:
        """Return the checkpoints of a run, the one furthest in training first."""
        ...

    def policies(self) -> list[Policy]:
        """Return the policies that were ever deployed, newest first."""
        ...

    def policy(self, name: str) -> Policy:
        """Return one policy, with its versions and where it answers."""
        ...

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        """Return the scalars of a run, one series a tag."""
        ...

    def stream_log(self, run: str, *, follow: bool = False, after: int = 0) -> Iterator[LogLine]:
        """Yield what the script of *run* printed, from line *after* on."""
        ...


class RegistryReader(Comparing):
    """Answers from the files of *workspace*, which it never changes. A workspace without a registry is empty.

    Threads may share one.

    Args:
        workspace: Where the archives lie, and the embedded registry.
        registry_url: Another registry instead; empty for the embedded one.
    """

    def __init__(self, workspace: Workspace, *, registry_url: str = "") -> None:
        self._workspace = workspace
        self._registry_url = registry_url
        self._opened: Store | None = None
        self._final_scores = FinalScores(workspace)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the registry."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    @property
    def _store(self) -> Store | None:
        with self._lock:
            if self._opened is None and (self._registry_url or self._workspace.registry.exists()):
                from arena_ray.registry.store import Store

                with suppress(RegistryEmpty):  # it is being made at this moment: nothing is in it
                    self._opened = Store.open(self._registry_url or self._workspace.registry_url, read_only=True)
            return self._opened

    def experiments(self) -> list[Experiment]:
        """Return all experiments."""
        return self._store.list_experiments() if self._store else []

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of this *name* or id."""
        found = self._store.get_experiment(name) if self._store else None
        if found is None:
            raise NotFound("experiment", name, known=[each.name for each in self.experiments()])
        return found

    def executions(self, name: str) -> list[Execution]:
        """Return the plugin executions of an experiment, newest first."""
        experiment = self.experiment(name).name
        return self._store.list_executions(experiment=experiment)[::-1] if self._store else []

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        """Return where the weights of the runs come from, in the newest plugin execution or the one of this id."""
        experiment, store = self.experiment(name).name, self._store
        if store is None:
            raise NotFound("experiment", name)
        if execution is None:
            return self._final_scores.add_to(store.lineage(experiment))
        found = store.get_execution(execution)
        if found is None or found.experiment != experiment:
            raise NotFound("execution", execution, known=[each.execution_id for each in self.executions(experiment)])
        return self._final_scores.add_to(
            Lineage(
                experiment=experiment,
                execution=found,
                runs=store.list_runs(execution_id=execution),
                milestones=store.list_milestones(execution),
                exploits=store.list_exploits(execution_id=execution),
            )
        )

    def certificate(self, name: str, execution: str | None = None) -> Certificate:
        """Return what each cell of the newest plugin execution came to, or of the one of this id."""
        from arena_ray.registry.certificates import load_certificate

        found = self.lineage(name, execution).execution
        if found is None or self._store is None:
            raise ArenaError(f"no plugin was at work on experiment {name}: there is nothing to certify")
        return load_certificate(self._store, found)

    def revisions(self, name: str) -> list[Revision]:
        """Return the revisions of an experiment, by number."""
        experiment = self.experiment(name)
        return self._store.list_revisions(experiment.experiment_id) if self._store else []

    def notes(self, name: str) -> list[Note]:
        """Return the notes on an experiment and its runs, oldest first."""
        experiment = self.experiment(name)
        return self._store.list_notes(experiment.experiment_id) if self._store else []

    def revision(self, revision_id: str) -> Revision:
        """Return the revision of this id."""
        found = self._store.get_revision(revision_id) if self._store else None
        if found is None:
            raise NotFound("revision", revision_id)
        return found

    def runs(self, experiment: str | None = None, state: RunState | str | None = None) -> list[Run]:
        """Return the runs, of one *experiment* or in one *state* where given."""
        if self._store is None:
            return []
        states = None if state is None else [RunState(state)]
        return self._store.list_runs(experiment=experiment, states=states)

    def run(self, key: str) -> Run:
        """Return the run of this name, id or unique prefix."""
        if self._store is None:
            raise NotFound("run", key)
        return self._store.require_run(key)

    def attempts(self, key: str) -> list[Attempt]:
        """Return the attempts of a run, oldest first."""
        run = self.run(key)
        return self._store.list_attempts(run.run_id) if self._store else []

    def checkpoints(self, key: str) -> list[Checkpoint]:
        """Return the checkpoints of a run, the one furthest in training first."""
        run = self.run(key)
        return self._store.list_checkpoints(run.run_id) if self._store else []

    def policies(self) -> list[Policy]:
        """Return the policies that were ever deployed, newest first; none of them answers while no cluster is up."""
        versions = self._store.list_policy_versions() if self._store else []
        names = dict.fromkeys(one.name for one in versions)
        return [Policy.of([one for one in versions if one.name == name]) for name in names]

    def policy(self, name: str) -> Policy:
        """Return one policy with its versions."""
        known = {one.name: one for one in self.policies()}
        if name not in known:
            raise NotFound("policy", name, known=known)
        return known[name]

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        """Return the scalars of a run, one series a tag."""
        from arena_ray.telemetry.archive import read_metrics

        return series_by_tag(read_metrics(self._workspace.run(self.run(key).name).metrics), tag=tag, last=last)

    def stream_log(self, run: str, *, follow: bool = False, after: int = 0) -> Iterator[LogLine]:
        """Yield what the script of *run* printed, from line *after* on.

        With *follow* as without: while no cluster is up, nothing can be added to a log.
        """
        key = self.run(run).run_id
        while (page := self.log_page(key, after=after)).next_after > after:
            yield from page.lines
            after = page.next_after

    def log_page(self, run: str, *, after: int = 0, limit: int = LOG_PAGE_LINES) -> LogPage:
        """Return up to *limit* lines of the log of *run*, from line *after* on."""
        from arena_ray.telemetry.archive import read_log

        return log_page(read_log(self._workspace.run(self.run(run).name).log, after=after, limit=limit))


def is_running_here(address: GatewayAddress) -> bool | None:
    """Return whether the gateway's process is alive, or None where it is not on this machine."""
    if urlsplit(address.url).hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    try:
        os.kill(address.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # alive, and another user's
        return True
    return True


def find_client(workspace: Workspace) -> ArenaClient | None:
    """Return a client of the workspace's gateway, or None where none answers."""
    address = get_gateway(workspace.gateway)
    if address is None or is_running_here(address) is False:
        return None
    from arena_ray.orchestrator.client import ArenaClient

    with ArenaClient(address, timeout_s=_FIND_TIMEOUT_S, retry_s=0.0) as probe:
        try:
            probe.health()
        except ClusterUnavailable:
            return None
        return ArenaClient(probe.address)


def require_client(workspace: Workspace) -> ArenaClient:
    """Return a client of the workspace's gateway; one that is starting again is waited for.

    Raises:
        ClusterUnavailable: None answers; says how to start one.
    """
    deadline = time.monotonic() + _FIND_TIMEOUT_S
    while (client := find_client(workspace)) is None:
        if time.monotonic() > deadline or not workspace.gateway.exists():
            raise ClusterUnavailable(
                f"no cluster is up in {workspace.home}; start one with 'arena up', or point ARENA_HOME at its workspace"
            )
        time.sleep(_FIND_PAUSE_S)
    return client


def open_reader(workspace: Workspace) -> ArenaClient | RegistryReader:
    """Return whoever can answer about *workspace*: its gateway, or the registry where none answers."""
    client = find_client(workspace)
    if client is not None:
        return client
    from arena_ray.model.settings import load_settings

    return RegistryReader(workspace, registry_url=load_settings(workspace)[0].registry_url)
