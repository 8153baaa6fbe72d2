"""The gateway's HTTP application: reads are answered from the registry, everything else by the orchestrator."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import ValidationError

import arena_ray
from arena_ray.model import errors
from arena_ray.model.certificate import Certificate
from arena_ray.model.configurations import ConfigurationRanking
from arena_ray.model.errors import ArenaError
from arena_ray.model.events import MetricPoint
from arena_ray.model.importance import Importance
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
from arena_ray.model.states import RunState
from arena_ray.orchestrator.api import (
    BASE_PATH,
    Cluster,
    DeployRequest,
    ErrorBody,
    ErrorReply,
    ExperimentReply,
    Health,
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
    series_by_tag,
)
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.plugin.description import PluginDescription
from arena_ray.plugin.study import Mode
from arena_ray.runner.preflight import Submission

LOG_POLL_S = 0.2
MAX_LOG_LINES = 5000
_STATUS: list[tuple[type[Exception], int]] = [
    (errors.NotFound, 404),
    (errors.SpecError, 400),
    (errors.IllegalTransition, 409),
    (errors.StaleAttempt, 409),
    (errors.InfeasibleResources, 409),
    (errors.CudaRequired, 409),
    (errors.CheckpointCorrupt, 409),
    (errors.PolicyUnusable, 409),
    (errors.BadObservation, 422),
]

Call = Callable[..., Any]
"""Calls a method of the orchestrator, or of a part of it: its name, then its arguments."""


class Unauthorized(Exception):
    """The request carries no token, or another one."""


def _reply(status: int, kind: str, message: str) -> JSONResponse:
    body = ErrorReply(error=ErrorBody(type=kind, message=message))
    return JSONResponse(body.model_dump(mode="json"), status_code=status)


def _on_arena_error(_: Request, error: Exception) -> JSONResponse:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return _reply(status, type(error).__name__, str(error))


def _on_unauthorized(_: Request, __: Exception) -> JSONResponse:
    return _reply(401, "ArenaError", "the token is missing or wrong; it stands in gateway.json of the workspace")


def create_app(
    call: Call,
    *,
    reader: RegistryReader,
    token: str,
    home: str,
    cluster: Callable[[], Cluster],
    plugins: Callable[[], list[PluginDescription]],
) -> FastAPI:
    """Return the application.

    Args:
        call: Calls the orchestrator.
        reader: Answers what the registry and the archives know.
        token: What every request must carry as its bearer token.
        home: The workspace, as ``/health`` tells it.
        cluster: Describes the Ray cluster.
        plugins: Describes the plugins that are there at the moment.
    """

    def check(given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]) -> None:
        if given is None or not secrets.compare_digest(given.credentials.encode(), token.encode()):
            raise Unauthorized

    app = FastAPI(title="arena_ray", version=arena_ray.__version__, openapi_url=f"{BASE_PATH}/openapi.json")
    app.add_exception_handler(ArenaError, _on_arena_error)
    app.add_exception_handler(Unauthorized, _on_unauthorized)
    routes = APIRouter(prefix=BASE_PATH, dependencies=[Depends(check)])
    _add_cluster_routes(routes, home=home, cluster=cluster, plugins=plugins)
    _add_experiment_reading_routes(routes, reader)
    _add_run_reading_routes(routes, reader)
    _add_steering_routes(routes, call)
    _add_experiment_routes(routes, call)
    _add_successor_routes(routes, call)
    _add_policy_routes(routes, call)
    _add_telemetry_routes(routes, call, reader)
    app.include_router(routes)
    return app


def _add_cluster_routes(
    routes: APIRouter, *, home: str, cluster: Callable[[], Cluster], plugins: Callable[[], list[PluginDescription]]
) -> None:
    @routes.get("/health")
    def health() -> Health:
        """Tell that the gateway answers."""
        return Health(status="ok", version=arena_ray.__version__, home=home, pid=os.getpid())

    @routes.get("/cluster")
    def describe_cluster() -> Cluster:
        """Return the nodes of the Ray cluster."""
        return cluster()

    @routes.get("/plugins", operation_id="plugins")
    def list_plugins() -> list[PluginDescription]:
        """Return the plugins that the gateway finds, usable or not."""
        return plugins()


def _add_experiment_reading_routes(routes: APIRouter, reader: RegistryReader) -> None:
    @routes.get("/experiments")
    def experiments() -> list[Experiment]:
        """Return all experiments."""
        return reader.experiments()

    @routes.get("/experiments/{name}")
    def experiment(name: str) -> Experiment:
        """Return one experiment by name or id."""
        return reader.experiment(name)

    @routes.get("/experiments/{name}/executions")
    def executions(name: str) -> list[Execution]:
        """Return the plugin executions of an experiment, newest first."""
        return reader.executions(name)

    @routes.get("/experiments/{name}/lineage")
    def lineage(name: str, execution: str | None = None) -> Lineage:
        """Return where the weights of an experiment's runs come from, in its newest plugin execution or another."""
        return reader.lineage(name, execution)

    @routes.get("/experiments/{name}/certificate")
    def certificate(name: str, execution: str | None = None) -> Certificate:
        """Return what each cell of an experiment's newest plugin execution, or of another, came to."""
        return reader.certificate(name, execution)

    @routes.get("/experiments/{name}/ranking")
    def ranking(
        name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> ConfigurationRanking:
        """Return the configurations of an experiment with what was reached over their seeds, the best first."""
        return reader.ranking(name, metric, mode, execution)

    @routes.get("/experiments/{name}/importance")
    def importance(
        name: str, metric: str | None = None, mode: Mode | None = None, execution: str | None = None
    ) -> Importance:
        """Return how much each hyperparameter has to do with what the runs of an experiment have reached."""
        return reader.importance(name, metric, mode, execution)

    @routes.get("/experiments/{name}/revisions")
    def revisions(name: str) -> list[Revision]:
        """Return the revisions of an experiment, by number."""
        return reader.revisions(name)

    @routes.get("/experiments/{name}/notes")
    def notes(name: str) -> list[Note]:
        """Return the notes on an experiment and its runs, oldest first."""
        return reader.notes(name)


def _add_run_reading_routes(routes: APIRouter, reader: RegistryReader) -> None:
    @routes.get("/revisions/{revision_id}")
    def revision(revision_id: str) -> Revision:
        """Return one revision."""
        return reader.revision(revision_id)

    @routes.get("/runs")
    def runs(experiment: str | None = None, state: RunState | None = None) -> list[Run]:
        """Return runs, oldest first."""
        return reader.runs(experiment, state)

    @routes.get("/runs/{run}")
    def run(run: str) -> Run:
        """Return one run by id, name or unique prefix."""
        return reader.run(run)

    @routes.get("/runs/{run}/attempts")
    def attempts(run: str) -> list[Attempt]:
        """Return the attempts of a run."""
        return reader.attempts(run)

    @routes.get("/runs/{run}/checkpoints")
    def checkpoints(run: str) -> list[Checkpoint]:
        """Return the checkpoints of a run."""
        return reader.checkpoints(run)


def _add_steering_routes(routes: APIRouter, call: Call) -> None:
    @routes.post("/experiments", operation_id="start")
    def start(body: SubmitRequest, arena_request_id: Annotated[str | None, Header()] = None) -> SubmitReply:
        """Check a submission and queue a run of it, or begin the execution of its plugin."""
        try:
            submission = Submission.model_validate(body.submission)
        except ValidationError as exc:
            raise errors.SpecError(f"not a submission: {exc}") from exc
        started = call("start", submission, force_new=body.force_new, request_id=arena_request_id)
        return SubmitReply(run=started.run, execution=started.execution, created=started.created)

    @routes.post("/runs/{run}/stop", operation_id="stop_run")
    def stop_run(run: str, body: StopRequest) -> MoveReply:
        """Ask for the end of a run."""
        stopped, lost = call("runs.stop", run, now=body.now)
        return MoveReply(run=stopped, lost=lost)

    @routes.post("/runs/{run}/pause", operation_id="pause_run")
    def pause_run(run: str) -> MoveReply:
        """Ask a run to take a snapshot and give its resources back."""
        return MoveReply(run=call("runs.pause", run))

    @routes.post("/runs/{run}/resume", operation_id="resume_run")
    def resume_run(run: str) -> MoveReply:
        """Queue a paused run again."""
        return MoveReply(run=call("runs.resume", run))


def _add_experiment_routes(routes: APIRouter, call: Call) -> None:
    @routes.post("/experiments/{name}/stop", operation_id="stop_experiment")
    def stop_experiment(name: str, body: StopRequest) -> ExperimentReply:
        """Ask for the end of all that an experiment does."""
        return _experiment_reply(call("experiments.stop", name, now=body.now))

    @routes.post("/experiments/{name}/pause", operation_id="pause_experiment")
    def pause_experiment(name: str) -> ExperimentReply:
        """Ask all runs of an experiment to pause, and its plugin to begin no others meanwhile."""
        return _experiment_reply(call("experiments.pause", name))

    @routes.post("/experiments/{name}/resume", operation_id="resume_experiment")
    def resume_experiment(name: str) -> ExperimentReply:
        """Let a paused experiment go on."""
        return _experiment_reply(call("experiments.resume", name))

    @routes.post("/experiments/{name}/plugins", operation_id="run_plugin")
    def run_plugin(
        name: str, body: PluginRequest, arena_request_id: Annotated[str | None, Header()] = None
    ) -> SubmitReply:
        """Begin the execution of a plugin on an experiment, from its newest revision."""
        keys = {"force_new": body.force_new, "request_id": arena_request_id}
        started = call("run_plugin", name, body.plugin, **keys)
        return SubmitReply(run=started.run, execution=started.execution, created=started.created)


def _add_successor_routes(routes: APIRouter, call: Call) -> None:
    @routes.post("/runs/{run}/replay", operation_id="replay_schedule")
    def replay_schedule(
        run: str, body: ReplayRequest, arena_request_id: Annotated[str | None, Header()] = None
    ) -> SubmitReply:
        """Have one run follow the schedule of hyperparameters along which a run's weights were trained."""
        keys = {"seed": body.seed, "force_new": body.force_new, "request_id": arena_request_id}
        started = call("successors.replay", run, **keys)
        return SubmitReply(run=started.run, execution=started.execution, created=started.created)

    @routes.post("/runs/{run}/promote", operation_id="promote")
    def promote(run: str, body: PromoteRequest, arena_request_id: Annotated[str | None, Header()] = None) -> Revision:
        """Make a revision with the hyperparameters that a run has now."""
        revision: Revision = call("successors.promote", run, name=body.name, request_id=arena_request_id)
        return revision


def _experiment_reply(answer: tuple[Experiment, Execution | None, list[Run]]) -> ExperimentReply:
    experiment, execution, runs = answer
    return ExperimentReply(experiment=experiment, execution=execution, runs=runs)


def _add_policy_routes(routes: APIRouter, call: Call) -> None:
    @routes.get("/policies")
    def policies() -> list[Policy]:
        """Return the policies that were ever deployed, newest first, each with its versions."""
        return list(call("policies.all"))

    @routes.get("/policies/{name}")
    def policy(name: str) -> Policy:
        """Return one policy with its versions, and where it answers."""
        found: Policy = call("policies.policy", name)
        return found

    @routes.post("/policies", operation_id="deploy")
    def deploy(body: DeployRequest) -> PolicyVersion:
        """Record the next version of a policy, which is then loaded, probed and put behind its name."""
        version: PolicyVersion = call("policies.deploy", body.source, body.name, select=body.select)
        return version

    @routes.delete("/policies/{name}", operation_id="undeploy")
    def undeploy(name: str) -> Policy:
        """Take a policy back: it answers no more."""
        withdrawn: Policy = call("policies.undeploy", name)
        return withdrawn


def _add_telemetry_routes(routes: APIRouter, call: Call, reader: RegistryReader) -> None:
    @routes.get("/runs/{run}/logs", operation_id="stream_log")
    def stream_log(
        run: str,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_LOG_LINES)] = 1000,
        wait_s: Annotated[float, Query(ge=0, le=30)] = 0.0,
    ) -> LogPage:
        """Return lines of a run's log; where there is none yet, wait up to ``wait_s`` for one."""
        deadline = time.monotonic() + wait_s
        while True:
            page = reader.log_page(run, after=after, limit=limit)
            if page.lines or time.monotonic() >= deadline:
                return page
            time.sleep(LOG_POLL_S)

    @routes.get("/runs/{run}/metrics")
    def metrics(
        run: str, tag: str | None = None, last: Annotated[int | None, Query(ge=1)] = None
    ) -> list[MetricSeries]:
        """Return the scalars of a run: the newest from memory where ``last`` is given, else all from the archive."""
        if last is None:
            return reader.metrics(run, tag)
        recent: dict[str, list[MetricPoint]] = call("recent_metrics", run, last)
        return series_by_tag([point for points in recent.values() for point in points], tag=tag)
