from __future__ import annotations

from operator import attrgetter

import httpx
import pytest
from http_kit import exchange

from arena_ray.orchestrator.api import BASE_PATH, Cluster, Node
from arena_ray.orchestrator.gateway import create_app
from arena_ray.orchestrator.reader import RegistryReader
from arena_ray.testing.plugins import load_plugins

NODE = Node(node_id="n", address="a", is_alive=True, is_head=True, cpu=2, gpu=0, memory_gib=1, cpu_free=1, gpu_free=0)


@pytest.fixture
def http(core, workspace):
    reader = RegistryReader(workspace)
    app = create_app(
        lambda method, *args, **kwargs: attrgetter(method)(core)(*args, **kwargs),
        reader=reader,
        token="secret",
        home=str(workspace.home),
        cluster=lambda: Cluster(ray_address="r", nodes=[NODE]),
        plugins=lambda: load_plugins().describe(),
    )
    headers = {"Authorization": "Bearer secret"}
    with (
        exchange().serving(app) as url,
        httpx.Client(base_url=url + BASE_PATH, headers=headers, trust_env=False) as client,
    ):
        yield client
    reader.close()


@pytest.fixture
def run(http, submission_of):
    body = {"submission": submission_of().model_dump(mode="json"), "force_new": False}
    return http.post("/experiments", json=body).json()["run"]


@pytest.mark.parametrize("header", [{"Authorization": ""}, {"Authorization": "Bearer wrong"}])
def test_nothing_is_told_without_the_token(http, header) -> None:
    for path in ("/health", "/runs", "/cluster"):
        reply = http.get(path, headers=header)
        assert reply.status_code == 401
        assert "gateway.json" in reply.json()["error"]["message"]


def test_a_started_run_can_be_read_back(http, run) -> None:
    assert http.get("/runs").json() == [http.get(f"/runs/{run['name']}").json()] == [run]
    assert http.get("/experiments").json()[0]["name"] == "x"
    assert http.get("/runs", params={"state": "completed"}).json() == []
    assert http.get(f"/revisions/{run['revision_id']}").json()["script"] == "ppo"


def test_steering_answers_with_the_run(http, run) -> None:
    assert http.post(f"/runs/{run['run_id']}/pause").json()["run"]["state"] == "paused"
    assert http.post(f"/runs/{run['run_id']}/resume").json()["run"]["state"] == "queued"
    assert http.post(f"/runs/{run['run_id']}/stop", json={"now": False}).json()["run"]["state"] == "stopped"


@pytest.fixture
def execution(http, submission_of):
    space = {"learning_rate": {"loguniform": [1e-4, 1e-2]}}
    plugin = {"name": "pbt", "settings": {"perturbation_interval": 512, "param_space": space}}
    reply = http.post("/experiments", json={"submission": submission_of(plugin=plugin).model_dump(mode="json")}).json()
    assert reply["run"] is None
    assert reply["created"] is True
    return reply["execution"]


def test_a_submission_with_a_plugin_begins_its_execution(http, execution) -> None:
    assert (execution["plugin"], execution["state"], execution["experiment"]) == ("pbt", "running", "x")
    assert http.get("/experiments/x/executions").json() == [execution]
    lineage = {
        "experiment": "x",
        "execution": execution,
        "runs": [],
        "milestones": [],
        "exploits": [],
        "final_scores": {},
    }
    assert http.get("/experiments/x/lineage").json() == lineage
    assert http.get("/experiments/x/lineage", params={"execution": execution["execution_id"]}).json() == lineage
    assert http.get("/experiments/x/lineage", params={"execution": "none"}).status_code == 404


def test_an_experiment_is_steered_as_a_whole(http, run, execution) -> None:
    replies = [http.post(f"/experiments/x/{move}", json={"now": False}).json() for move in ("pause", "resume", "stop")]
    assert [reply["execution"]["state"] for reply in replies] == ["paused", "running", "stopped"]
    assert [[each["state"] for each in reply["runs"]] for reply in replies] == [["paused"], ["queued"], ["stopped"]]
    assert {reply["experiment"]["name"] for reply in replies} == {"x"}
    assert http.post("/experiments/nobody/stop", json={"now": False}).status_code == 404


def test_an_experiment_without_a_plugin_has_no_execution(http, run) -> None:
    assert http.get("/experiments/x/executions").json() == []
    lineage = http.get("/experiments/x/lineage").json()
    assert (lineage["execution"], lineage["runs"]) == (None, [run])
    assert http.post("/experiments/x/pause").json()["execution"] is None


def test_the_plugins_are_described(http) -> None:
    described = {each["name"]: each for each in http.get("/plugins").json()}
    assert described["pbt"]["problem"] is None
    assert "population" in {setting["name"] for setting in described["pbt"]["settings"]}


def test_errors_carry_their_class_and_status(http, run, submission_of) -> None:
    unknown = http.get("/runs/nobody")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "NotFound")
    http.post(f"/runs/{run['run_id']}/stop", json={"now": False})
    ended = http.post(f"/runs/{run['run_id']}/pause")
    assert (ended.status_code, ended.json()["error"]["type"]) == (409, "IllegalTransition")
    body = {"submission": submission_of(resources={"gpu": 8}).model_dump(mode="json")}
    refused = http.post("/experiments", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "InfeasibleResources")


def test_a_submission_that_is_none_is_refused(http) -> None:
    reply = http.post("/experiments", json={"submission": {"spec": {}}})
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "SpecError"


def test_a_log_that_is_still_empty_is_an_empty_page(http, run) -> None:
    assert http.get(f"/runs/{run['run_id']}/logs").json() == {"lines": [], "next_after": 0}
    assert http.get(f"/runs/{run['run_id']}/metrics", params={"last": 5}).json() == []


def test_the_api_describes_itself(http) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    operations = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert {"start", "stop_run", "stream_log", "pause_run", "resume_run"} <= operations
    assert {"stop_experiment", "pause_experiment", "resume_experiment"} <= operations


def test_a_run_is_promoted_and_replayed(http, core, execution) -> None:
    core.claim_experiment(execution["experiment_id"], driver="d")
    keys = {"driver": "d", "member": 0, "hyperparameters": {"learning_rate": 1e-3}, "seed": 1}
    run = core.executions.add_run(execution["execution_id"], **keys)
    revision = http.post(f"/runs/{run.name}/promote", json={"name": "best"}).json()
    assert (revision["name"], revision["hyperparameters"]) == ("best", {"learning_rate": 1e-3})
    assert http.get("/experiments/x/revisions").json()[-1] == revision
    reply = http.post(f"/runs/{run.name}/replay", json={"seed": 4}, headers={"Arena-Request-Id": "r"}).json()
    assert (reply["execution"]["plugin"], reply["execution"]["spec"]["seed"]) == ("replay_schedule", 4)
    assert reply["run"] is None
