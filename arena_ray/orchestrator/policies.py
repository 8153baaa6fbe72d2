"""Deployed policies as the orchestrator keeps them: recorded first, then brought up, and again after a restart."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from arena_ray.model.errors import (
    ArenaError,
    CheckpointCorrupt,
    EndpointUnavailable,
    IllegalTransition,
    NotFound,
    PolicyUnusable,
    RegistryError,
)
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Checkpoint, Lineage, PolicyVersion
from arena_ray.model.settings import Settings
from arena_ray.model.spec import check_name
from arena_ray.model.standing import Standing
from arena_ray.model.states import PolicyState
from arena_ray.orchestrator.api import Policy, get_gateway
from arena_ray.orchestrator.final_scores import FinalScores
from arena_ray.orchestrator.graphs import Exporter
from arena_ray.orchestrator.policy_versions import OPEN_STATES, Versions
from arena_ray.registry.policies import Wish
from arena_ray.registry.store import Store
from arena_ray.serving.endpoints import Endpoints, is_open
from arena_ray.serving.selection import select_checkpoint
from arena_ray.serving.target import Target

REMOVAL_PATIENCE_S = 5.0
BRING_UP_ATTEMPTS = 3

log = logging.getLogger(__name__)


class Policies:
    """Deploys policies and takes them back. Thread-safe; :meth:`look_after` is called by one thread only.

    Args:
        workspace: Where the files of policies are kept.
        store: The registry.
        endpoints: Where policies answer.
        token: Gives the token that endpoints are to ask for, or None where they are to ask for none.
        exporter: Makes the graph of a policy that is not described.
        removal_patience_s: Seconds that :meth:`undeploy` waits for the endpoint to be gone.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        store: Store,
        endpoints: Endpoints,
        token: Callable[[], str | None],
        exporter: Exporter,
        removal_patience_s: float = REMOVAL_PATIENCE_S,
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._endpoints = endpoints
        self._token = token
        self._versions = Versions(workspace, store=store, exporter=exporter)
        self._removal_patience_s = removal_patience_s
        self._lock = threading.Lock()
        self._is_due = threading.Event()
        self._up: dict[str, int] = {}
        self._told: set[str] = set()  # what Serve may have been told of, whether it answers or not
        self._is_retired = False
        self._has_looked = False
        self._failures: dict[tuple[str, int], int] = {}
        self._hopeless: set[Wish] = set()

    def deploy(self, key: str, name: str, *, select: str = "best") -> PolicyVersion:
        """Record the next version of a policy and return it: ``loading``, or ``serving`` where it answers already.

        Args:
            key: A run, by id, name or unique prefix; or a checkpoint, by id or directory.
            name: The policy's name.
            select: Which checkpoint of a run: ``best`` or ``latest``.

        Raises:
            NotFound: There is no such run or checkpoint, or the run has none.
            CheckpointCorrupt: Its files are not those that were recorded.
            PolicyUnusable: It holds no policy.
        """
        check_name(name)
        checkpoint = self._find(key, select)
        with self._lock:
            version = self._versions.record(checkpoint, name)
        self._is_due.set()
        return version

    def undeploy(self, name: str) -> Policy:
        """Withdraw what answers under *name*, or is to.

        Raises:
            NotFound: Nothing is.
        """
        with self._lock:
            current = self._store.list_policy_versions(name=name, states=OPEN_STATES)
            if not current:
                known = {one.name for one in self._store.list_policy_versions(states=[PolicyState.SERVING])}
                raise NotFound("deployed policy", name, known=known)
            for version in current:
                with suppress(IllegalTransition):  # it has failed meanwhile
                    self._store.move_policy_version(
                        name, version.version, PolicyState.WITHDRAWN, reason="undeployed by the user"
                    )
        self._is_due.set()
        deadline = time.monotonic() + self._removal_patience_s
        while name in self._up and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.policy(name)

    def all(self) -> list[Policy]:
        """Return all policies that were ever deployed, the newest first."""
        versions = self._store.list_policy_versions()
        return [self._policy(name, versions) for name in dict.fromkeys(one.name for one in versions)]

    def policy(self, name: str) -> Policy:
        """Return one policy with its versions.

        Raises:
            NotFound: There never was one of this name.
        """
        versions = self._store.list_policy_versions()
        if all(one.name != name for one in versions):
            raise NotFound("policy", name, known={one.name for one in versions})
        return self._policy(name, versions)

    def _policy(self, name: str, versions: list[PolicyVersion]) -> Policy:
        of_name = [one for one in versions if one.name == name]
        return Policy.of(of_name, url=self._endpoints.url(name) if name in self._up else None)

    def wait_until_due(self, timeout_s: float) -> None:
        """Wait for a call that gives :meth:`look_after` something to do, but no longer than *timeout_s*."""
        self._is_due.wait(timeout_s)
        self._is_due.clear()

    def look_after(self) -> None:
        """Do what is due: deploy what files asked for, bring up what is not up, take away what was withdrawn."""
        if not self._has_looked and self._store.list_policy_versions():
            # what answers since before a restart is told once more, or taken away
            self._up.update(dict.fromkeys(self._endpoints.names(), 0))
        self._has_looked = True
        for wish in self._store.list_deploy_wishes():
            self._fulfil(wish)
        with self._lock:  # whose holder may have recorded a version whose files it is still writing
            current = self._store.list_policy_versions(states=OPEN_STATES)
        for name in {*self._up, *self._told} - {one.name for one in current}:
            self._endpoints.remove(name)
            self._told.discard(name)
            self._up.pop(name, None)
        waiting = {one.name for one in current if not one.digest}  # for graphs, which take long: the others come first
        for name in sorted({one.name for one in current}, key=lambda name: (name in waiting, name)):
            self._look_after_name([one for one in current if one.name == name])

    def _look_after_name(self, current: list[PolicyVersion]) -> None:
        """Bring up what is loading of one policy, in the order of the versions; else what is to answer and does not."""
        loading = [one for one in reversed(current) if one.state is PolicyState.LOADING]
        for version in loading or current:
            if self._is_retired:
                return
            if version in loading or self._up.get(version.name) != version.version:
                self._bring_up(version)

    def take_down(self) -> None:
        """Let no policy answer any more; what served is brought up again by the next cluster."""
        self._is_retired = True
        for name in self._endpoints.names():
            self._endpoints.remove(name)

    def _find(self, key: str, select: str) -> Checkpoint:
        checkpoint = self._store.get_checkpoint(key) or self._store.find_checkpoint_at(str(Path(key).absolute()))
        if checkpoint is not None:
            return checkpoint
        run = self._store.require_run(key)
        return select_checkpoint(self._store.list_checkpoints(run.run_id), select=select, run=run.name)

    def _fulfil(self, wish: Wish) -> None:
        """Deploy what a file asked for; a refusal is recorded as a version that has failed, and not tried again."""
        if wish in self._hopeless:
            return
        try:
            run_id = wish.run_id or self._best_of(wish)
            self.deploy(run_id, wish.name, select=wish.select)
        except RegistryError as exc:
            log.warning("policy %s waits for the registry: %s", wish.name, exc)
        except ArenaError as exc:
            self._hopeless.add(wish)
            log.warning("policy %s was not deployed: %s", wish.name, exc)

    def _best_of(self, wish: Wish) -> str:
        execution = self._store.get_execution(wish.execution_id or "")
        if execution is None:
            raise NotFound("execution", str(wish.execution_id))
        lineage = Lineage(
            experiment=execution.experiment,
            execution=execution,
            runs=self._store.list_runs(execution_id=execution.execution_id),
            milestones=self._store.list_milestones(execution.execution_id),
            exploits=[],
        )
        winner = Standing(FinalScores(self._workspace).add_to(lineage)).winner
        if winner is None:
            raise NotFound("run that has completed with a score", f"in experiment {execution.experiment}")
        return winner.run_id

    def _bring_up(self, version: PolicyVersion) -> None:
        place = (version.name, version.version)
        try:
            target = self._target(version if version.digest else self._versions.complete(version))
            if version.state is PolicyState.LOADING:
                self._endpoints.probe(target)
            self._told.add(version.name)
            self._endpoints.serve(target)
        except (PolicyUnusable, CheckpointCorrupt) as exc:
            self._give_up(version, str(exc))
        except IllegalTransition:
            log.info("%s version %d was withdrawn before it was complete", *place)
        except EndpointUnavailable as exc:
            self._failures[place] = self._failures.get(place, 0) + 1
            log.warning("%s", exc)
            if version.state is PolicyState.LOADING and self._failures[place] >= BRING_UP_ATTEMPTS:
                self._give_up(version, str(exc))
        else:
            self._up[version.name] = version.version
            if version.state is PolicyState.LOADING:
                with suppress(IllegalTransition):  # withdrawn meanwhile: the next look takes it away
                    self._store.move_policy_version(version.name, version.version, PolicyState.SERVING)

    def _give_up(self, version: PolicyVersion, reason: str) -> None:
        """Record that a version has failed, and see to it that the one before it goes on answering."""
        name = version.name
        with suppress(IllegalTransition):
            self._store.move_policy_version(name, version.version, PolicyState.FAILED, reason=reason)
        if not self._store.list_policy_versions(name=name, states=[PolicyState.SERVING]):
            self._endpoints.remove(name)
            self._up.pop(name, None)
        elif (name, version.version) in self._failures:
            self._up[name] = 0  # its endpoint was told of the failed one: it is told of the former one again
            self._is_due.set()

    def _target(self, version: PolicyVersion) -> Target:
        token = self._token()
        return Target(
            name=version.name,
            version=version.version,
            root=str(self._workspace.policy(version.name, version.version).root),
            digest=version.digest,
            token_digest=hashlib.sha256(token.encode()).hexdigest() if token is not None else None,
        )


def endpoint_token(workspace: Workspace, settings: Settings) -> str | None:
    """Return the token that endpoints ask for: the gateway's where others than this machine's users can reach them.

    Raises:
        EndpointUnavailable: They can, and the gateway, which makes the token, has not been up yet.
    """
    if not is_open(settings):
        return None
    gateway = get_gateway(workspace.gateway)
    if gateway is None:
        raise EndpointUnavailable(f"policies wait for the gateway's token, and {workspace.gateway} is not there yet")
    return gateway.token
