"""Client of the gateway for Python programs and the command line: plain HTTP, no Ray."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from arena_ray.model import errors
from arena_ray.model.certificate import Certificate
from arena_ray.model.configurations import ConfigurationRanking
from arena_ray.model.errors import ArenaError, ClusterUnavailable, rebuild_error
from arena_ray.model.importance import Importance
from arena_ray.model.paths import Workspace
from arena_ray.model.records import (
    Attempt,
    Checkpoint,
    Execution,
    Experiment,
    Lineage,
    Note,
    PolicyVersion,
    Revision,
    Run,
)
from arena_ray.model.spec import PluginCall
from arena_ray.orchestrator.api import (
    BASE_PATH,
    REQUEST_ID_HEADER,
    Cluster,
    DeployRequest,
    ErrorReply,
    ExperimentReply,
    GatewayAddress,
    Health,
    LogLine,
    LogPage,
    MetricSeries,
    MoveReply,
    PluginRequest,
    Policy,
    PromoteRequest,
    ReplayRequest,
    StopRequest,
    SubmitReply,
    SubmitRequest,
    get_gateway,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from arena_ray.model.states import RunState
    from arena_ray.plugin.study import Mode

T = TypeVar("T")

_RETRY_PAUSE_S = 0.1
_LONG_POLL_S = 1.0
_LOG_PAGE_LINES = 1000
_COMING_BACK = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)


class ArenaClient:
    """Asks one gateway. Errors of the gateway come back as the ArenaError that it raised.

    Reads and ``start`` are repeated for up to *retry_s* while the gateway is away, for it restarts by itself;
    the rest is repeated only where it cannot have arrived.

    Args:
        address: Where the gateway is, see :func:`arena_ray.orchestrator.reader.find_client`.
        timeout_s: Seconds one answer may take.
        retry_s: Seconds to go on trying.
        has_ended: Says whether the cluster is known to have ended, so that there is nothing to try any more.
    """

    def __init__(
        self,
        address: GatewayAddress,
        *,
        timeout_s: float = 10.0,
        retry_s: float = 5.0,
        has_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.address = address
        self._has_ended = has_ended
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        # No proxy of the environment stands between us and the cluster, and plain HTTP needs no certificates,
        # which take longer to load than the request.
        self._http = httpx.Client(trust_env=False, verify=address.url.startswith("https:"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def start(self, submission: BaseModel | Mapping[str, Any], *, force_new: bool = False) -> SubmitReply:
        """Have *submission* trained, by its plugin where it names one.

        An unfinished run of the same revision and seed, or execution of the same file, goes on unless *force_new*.

        Raises:
            ArenaError: What the gateway found wrong with it.
            ClusterUnavailable: The gateway does not answer.
        """
        body = dict(submission) if isinstance(submission, Mapping) else submission.model_dump(mode="json")
        request = SubmitRequest(submission=body, force_new=force_new)
        return self._ask("POST", "/experiments", SubmitReply, body=request, request_id=secrets.token_hex(16))

    def run_plugin(
        self, experiment: str, plugin: str, settings: Mapping[str, Any] | None = None, *, force_new: bool = False
    ) -> SubmitReply:
        """Have *plugin* steer an *experiment* that there is, from its newest revision.

        Raises:
            ArenaError: What the gateway found wrong with it.
            ClusterUnavailable: The gateway does not answer.
        """
        request = PluginRequest(plugin=PluginCall(name=plugin, settings=dict(settings or {})), force_new=force_new)
        path = _path("experiments", experiment, "plugins")
        return self._ask("POST", path, SubmitReply, body=request, request_id=secrets.token_hex(16))

    def replay_schedule(self, run: str, *, seed: int | None = None, force_new: bool = False) -> SubmitReply:
        """Have one run follow the schedule of hyperparameters along which the weights of *run* were trained.

        Raises:
            ArenaError: No plugin has tuned it, or the gateway found something else wrong.
            ClusterUnavailable: The gateway does not answer.
        """
        body = ReplayRequest(seed=seed, force_new=force_new)
        path = _path("runs", run, "replay")
        return self._ask("POST", path, SubmitReply, body=body, request_id=secrets.token_hex(16))

    def promote(self, run: str, *, name: str | None = None) -> Revision:
        """Make a revision of the hyperparameters that *run* has now; the experiment's next plugins begin with it."""
        body, path = PromoteRequest(name=name), _path("runs", run, "promote")
        return self._ask("POST", path, Revision, body=body, request_id=secrets.token_hex(16))

    def stop_run(self, run: str, *, now: bool = False) -> MoveReply:
        """Stop *run* at its next boundary, or *now*, losing what came after its last checkpoint."""
        return self._ask("POST", _path("runs", run, "stop"), MoveReply, body=StopRequest(now=now))

    def pause_run(self, run: str) -> MoveReply:
        """Have *run* write a snapshot at its next boundary and give its resources back."""
        return self._ask("POST", _path("runs", run, "pause"), MoveReply)

    def resume_run(self, run: str) -> MoveReply:
        """Let a paused *run* go on from its snapshot."""
        return self._ask("POST", _path("runs", run, "resume"), MoveReply)

    def stop_experiment(self, name: str, *, now: bool = False) -> ExperimentReply:
        """Stop all that the experiment does, its plugin too; *now* loses what came after the last checkpoints."""
        return self._ask("POST", _path("experiments", name, "stop"), ExperimentReply, body=StopRequest(now=now))

    def pause_experiment(self, name: str) -> ExperimentReply:
        """Pause all runs of the experiment, and its plugin with them."""
        return self._ask("POST", _path("experiments", name, "pause"), ExperimentReply)

    def resume_experiment(self, name: str) -> ExperimentReply:
        """Let a paused experiment go on."""
        return self._ask("POST", _path("experiments", name, "resume"), ExperimentReply)

    def health(self) -> Health:
        """Return who answers."""
        return self._ask("GET", "/health", Health)

    def cluster(self) -> Cluster:
        """Return the nodes and what is free on them."""
        return self._ask("GET", "/cluster", Cluster)

    def experiments(self) -> list[Experiment]:
        """Return all experiments."""
        return self._ask("GET", "/experiments", list[Experiment])

    def experiment(self, name: str) -> Experiment:
        """Return the experiment of this *name* or id."""
        return self._ask("GET", _path("experiments", name), Experiment)

    def executions(self, name: str) -> list[Execution]:
        """Return the plugin executions of an experiment, newest first."""
        return self._ask("GET", _path("experiments", name, "executions"), list[Execution])

    def lineage(self, name: str, execution: str | None = None) -> Lineage:
        """Return where the weights of the runs come from, in the newest plugin execution or the one of this id."""
        return self._ask("GET", _path("experiments", name, "lineage"), Lineage, params={"execution": execution})

    def certificate(self, name: str, execution: str | None = None) -> Certificate:
        """Return what each cell of the newest plugin execution came to, or of the one of this id."""
        return self._ask("GET", _path("experiments", name, "certificate"), Certificate, params={"execution": execution})

    def ranking(
        self, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> ConfigurationRanking:
        """Return the configurations of an experiment with what was reached over their seeds, the best first."""
        params = {"metric": metric, "mode": mode, "execution": execution}
        return self._ask("GET", _path("experiments", name, "ranking"), ConfigurationRanking, params=params)

    def importance(
        self, name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> Importance:
        """Return how much each hyperparameter has to do with what the runs of an experiment have reached."""
        params = {"metric": metric, "mode": mode, "execution": execution}
        return self._ask("GET", _path("experiments", name, "importance"), Importance, params=params)

    def revisions(self, name: str) -> list[Revision]:
        """Return the revisions of an experiment, by number."""
        return self._ask("GET", _path("experiments", name, "revisions"), list[Revision])

    def notes(self, name: str) -> list[Note]:
        """Return the notes on an experiment and its runs, oldest first."""
        return self._ask("GET", _path("experiments", name, "notes"), list[Note])

    def revision(self, revision_id: str) -> Revision:
        """Return the revision of this id."""
        return self._ask("GET", _path("revisions", revision_id), Revision)

    def runs(self, experiment: str | None = None, state: RunState | str | None = None) -> list[Run]:
        """Return the runs, of one *experiment* or in one *state* where given."""
        return self._ask("GET", "/runs", list[Run], params={"experiment": experiment, "state": state})

    def run(self, key: str) -> Run:
        """Return the run of this name, id or unique prefix."""
        return self._ask("GET", _path("runs", key), Run)

    def attempts(self, key: str) -> list[Attempt]:
        """Return the attempts of a run, oldest first."""
        return self._ask("GET", _path("runs", key, "attempts"), list[Attempt])

    def checkpoints(self, key: str) -> list[Checkpoint]:
        """Return the checkpoints of a run, the one furthest in training first."""
        return self._ask("GET", _path("runs", key, "checkpoints"), list[Checkpoint])

    def policies(self) -> list[Policy]:
        """Return the policies that were ever deployed, newest first."""
        return self._ask("GET", "/policies", list[Policy])

    def policy(self, name: str) -> Policy:
        """Return one policy, with its versions and where it answers."""
        return self._ask("GET", _path("policies", name), Policy)

    def deploy(self, source: str, name: str, *, select: Literal["best", "latest"] = "best") -> PolicyVersion:
        """Have *source*, a checkpoint or the chosen one of a run, answer as *name*; returns before it does."""
        body = DeployRequest(source=source, name=name, select=select)
        return self._ask("POST", "/policies", PolicyVersion, body=body, request_id=secrets.token_hex(16))

    def undeploy(self, name: str) -> Policy:
        """Take the policy back."""
        return self._ask("DELETE", _path("policies", name), Policy)

    def metrics(self, key: str, tag: str | None = None, last: int | None = None) -> list[MetricSeries]:
        """Return the scalars of a run, one series a tag."""
        return self._ask("GET", _path("runs", key, "metrics"), list[MetricSeries], params={"tag": tag, "last": last})

    def stream_log(self, run: str, *, follow: bool = False, after: int = 0) -> Iterator[LogLine]:
        """Yield what the script of *run* printed, from line *after* on; with *follow* until the run has ended."""
        wait_s, is_over = 0.0, not follow
        while True:
            params = {"after": after, "limit": _LOG_PAGE_LINES, "wait_s": wait_s}
            page = self._ask("GET", _path("runs", run, "logs"), LogPage, params=params, wait_s=wait_s)
            yield from page.lines
            if page.next_after > after:
                after = page.next_after
                continue
            if is_over:
                return
            # Lines may come between the empty page and this answer: after it, look once more without waiting.
            is_over = self.run(run).state.is_final
            wait_s = 0.0 if is_over else _LONG_POLL_S

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, Any] | None = None,
        body: BaseModel | None = None,
        request_id: str | None = None,
        wait_s: float = 0.0,
    ) -> T:
        options: dict[str, Any] = {
            "params": {key: str(value) for key, value in (params or {}).items() if value is not None},
            "headers": {REQUEST_ID_HEADER: request_id} if request_id else {},
            "timeout": httpx.Timeout(self._timeout_s + wait_s, connect=self._timeout_s),
        }
        if body is not None:
            options["json"] = body.model_dump(mode="json")
        response = self._send(method, path, is_repeatable=method == "GET" or request_id is not None, options=options)
        if not response.is_success:
            raise self._error(response)
        try:
            return TypeAdapter(kind).validate_json(response.content)
        except ValidationError as exc:
            problem = exc.errors(include_url=False)[0]
            raise ArenaError(
                f"{method} {self.address.url}{BASE_PATH}{path} answered something else than expected "
                f"({'.'.join(map(str, problem['loc']))}: {problem['msg']}); is it another version of arena_ray?"
            ) from exc

    def _send(self, method: str, path: str, *, is_repeatable: bool, options: dict[str, Any]) -> httpx.Response:
        deadline = time.monotonic() + self._retry_s
        while True:
            headers = {**options["headers"], "Authorization": f"Bearer {self.address.token}"}
            url = f"{self.address.url.rstrip('/')}{BASE_PATH}{path}"
            try:
                response = self._http.request(method, url, **{**options, "headers": headers})
            except httpx.TransportError as exc:
                if self._has_ended():
                    raise self._ended() from exc
                may_repeat = is_repeatable or isinstance(exc, _NEVER_SENT)
                if not may_repeat or time.monotonic() >= deadline:
                    raise self._unavailable(exc) from exc
            else:
                if response.status_code == HTTPStatus.UNAUTHORIZED and self._renew_address():
                    continue
                is_away = response.status_code in _COMING_BACK
                if not (is_away and is_repeatable) or time.monotonic() >= deadline:
                    return response
            time.sleep(_RETRY_PAUSE_S)
            self._renew_address()

    def _renew_address(self) -> bool:
        """Take over a new address, which a restarted gateway has written; return whether there was one."""
        renewed = get_gateway(Workspace(Path(self.address.home)).gateway)
        is_new = renewed is not None and (renewed.url, renewed.token) != (self.address.url, self.address.token)
        if renewed is not None and is_new:
            self.address = renewed
        return is_new

    def _unavailable(self, reason: Exception) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"the gateway at {self.address.url} does not answer ({str(reason) or type(reason).__name__}); "
            "see 'arena doctor', or start a cluster with 'arena up'"
        )

    def _ended(self) -> ClusterUnavailable:
        log = Workspace(Path(self.address.home)).cluster_log
        return ClusterUnavailable(
            f"the cluster has ended before its work (see {log}); "
            "runs go on from their last checkpoint with the next one: give the same command again"
        )

    def _error(self, response: httpx.Response) -> ArenaError:
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            return ClusterUnavailable(
                f"the gateway at {self.address.url} does not accept the token of this workspace ({self.address.home}); "
                "another cluster listens there: 'arena down', then 'arena up'"
            )
        try:
            error = ErrorReply.model_validate_json(response.content).error
        except ValidationError:
            return ArenaError(f"the gateway answered {response.status_code}: {response.text[:300] or 'nothing'}")
        kind = getattr(errors, error.type, None)
        if isinstance(kind, type) and issubclass(kind, ArenaError):
            return rebuild_error(kind, error.message, {})
        return ArenaError(f"{error.type} in the gateway: {error.message}")


def _path(*parts: str) -> str:
    return "".join(f"/{quote(part, safe='')}" for part in parts)
