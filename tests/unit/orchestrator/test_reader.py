from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from registry_kit import write_empty_registry

from arena_ray.model.errors import ClusterUnavailable, NotFound, RegistryError
from arena_ray.model.events import LogLine, TrainingStep
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import RunState
from arena_ray.orchestrator import reader as readers
from arena_ray.orchestrator.api import GatewayAddress, write_gateway
from arena_ray.orchestrator.client import ArenaClient
from arena_ray.orchestrator.reader import (
    RegistryReader,
    find_client,
    is_running_here,
    open_reader,
    require_client,
)
from arena_ray.registry.store import Store
from arena_ray.telemetry.archive import ArchiveWriter, encode_event


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace) -> Run:
    spec = ExperimentSpec(experiment="demo", runner="cleanrl", script="ppo", env_id="CartPole-v1")
    write_empty_registry(workspace.registry)
    with Store.open(workspace.registry_url) as store:
        run, _ = store.submit(spec, flags={}, script="ppo", bundle="b" * 64)
        store.begin_attempt(run.run_id, node="node-a", resumed_from=None)
    return run


@pytest.fixture
def reader(workspace: Workspace) -> Iterator[RegistryReader]:
    with RegistryReader(workspace) as reader:
        yield reader


@pytest.fixture
def health_url() -> Iterator[str]:
    """A server that says it is a gateway and is well."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"status": "ok", "version": "0", "home": "", "pid": 1} if self.path.endswith("/health") else []
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def address_of(url: str, *, pid: int | None = None, home: str = "/nowhere") -> GatewayAddress:
    return GatewayAddress(
        url=url, token="t", pid=pid or os.getpid(), ray_address="", home=home, started_at=datetime.now(UTC)
    )


def test_a_workspace_without_a_registry_is_empty_and_stays_so(reader: RegistryReader, workspace: Workspace) -> None:
    assert reader.experiments() == []
    assert reader.runs() == []
    for ask in (reader.run, reader.experiment, reader.revision, reader.metrics, reader.executions, reader.lineage):
        with pytest.raises(NotFound):
            ask("x")
    assert list(workspace.home.iterdir()) == []


def test_a_registry_that_is_made_later_is_seen(reader: RegistryReader, workspace: Workspace) -> None:
    assert reader.runs() == []
    spec = ExperimentSpec(experiment="demo", runner="cleanrl", script="ppo", env_id="CartPole-v1")
    with Store.open(workspace.registry_url) as store:
        store.submit(spec, flags={}, script="ppo", bundle="b" * 64)
    assert len(reader.runs()) == 1


def test_what_the_registry_has_is_what_is_read(reader: RegistryReader, run: Run) -> None:
    assert [experiment.name for experiment in reader.experiments()] == ["demo"]
    assert reader.experiment("demo").experiment_id == run.experiment_id
    assert reader.revision(run.revision_id).number == 1
    assert reader.run(run.name[:10]).run_id == run.run_id
    assert [attempt.node for attempt in reader.attempts(run.name)] == ["node-a"]
    assert reader.checkpoints(run.name) == []
    assert [each.run_id for each in reader.runs(state="starting")] == [run.run_id]
    assert reader.runs(state=RunState.FAILED) == []
    assert reader.runs(experiment="other") == []


def test_an_unknown_experiment_is_an_error_that_names_the_nearest(reader: RegistryReader, run: Run) -> None:
    with pytest.raises(NotFound, match="did you mean 'demo'"):
        reader.experiment("dema")


def test_the_lineage_is_that_of_the_newest_execution_unless_another_one_is_named(
    reader: RegistryReader, run: Run, workspace: Workspace
) -> None:
    assert reader.executions("demo") == []
    assert reader.lineage("demo").execution is None
    spec = ExperimentSpec(experiment="demo", runner="cleanrl", script="ppo", env_id="CartPole-v1")
    told = {"flags": {}, "script": "ppo", "bundle": "b" * 64}
    with Store.open(workspace.registry_url) as store:
        first, second = [
            store.begin_execution(spec, plugin="pbt", settings={}, digest=digest, **told)[0] for digest in ("1", "2")
        ]
        member, _ = store.submit(spec, execution_id=first.execution_id, member=0, **told)
    assert reader.executions("demo") == [second, first]
    assert reader.lineage("demo").execution == second
    lineage = reader.lineage("demo", first.execution_id)
    assert (lineage.execution, lineage.runs, lineage.exploits) == (first, [member], [])
    with pytest.raises(NotFound, match="no execution 'x'"):
        reader.lineage("demo", "x")


def test_reading_never_writes(reader: RegistryReader, run: Run, workspace: Workspace) -> None:
    before = workspace.registry.read_bytes()
    reader.runs()
    store = reader._store
    assert store is not None
    with pytest.raises(RegistryError, match="opened for reading only"):
        store.move_run(run.run_id, RunState.STOPPED)
    assert workspace.registry.read_bytes() == before


def test_a_long_log_is_read_in_pages_and_a_torn_last_line_is_left_out(
    reader: RegistryReader, run: Run, workspace: Workspace
) -> None:
    path = workspace.run(run.name).log
    log = ArchiveWriter.open(path)
    count = 2 * readers.LOG_PAGE_LINES + 1
    log.append([encode_event(LogLine("stdout", str(seq), 0.0), seq=seq, attempt=1) for seq in range(count)])
    log.close()
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert [line["text"] for line in reader.stream_log(run.name)] == [str(seq) for seq in range(count)]
    assert [line["text"] for line in reader.stream_log(run.name, follow=True, after=count - 1)] == [str(count - 1)]
    page = reader.log_page(run.name, after=3, limit=2)
    assert ([line["text"] for line in page.lines], page.next_after) == (["3", "4"], 5)


def test_metrics_are_grouped_by_tag(reader: RegistryReader, run: Run, workspace: Workspace) -> None:
    archive = ArchiveWriter.open(workspace.run(run.name).metrics)
    for boundary, value in enumerate([1.0, math.nan, 3.0]):
        event = TrainingStep(boundary, boundary, {"b": value, "a": 0.0}, 5.0)
        archive.append([encode_event(event, seq=boundary, attempt=1)])
    archive.close()
    assert [series.tag for series in reader.metrics(run.name)] == ["a", "b"]
    [series] = reader.metrics(run.name, tag="b", last=2)
    assert math.isnan(series.points[0][1])
    assert series.points[1] == (2, 3.0, 5.0)
    assert series.model_dump(mode="json")["points"] == [[1, None, 5.0], [2, 3.0, 5.0]]
    with pytest.raises(NotFound, match="no metric 'c'"):
        reader.metrics(run.name, tag="c")


def test_a_reader_can_be_shared_by_threads(reader: RegistryReader, run: Run) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(reader.runs()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 8


def test_without_a_gateway_the_registry_answers(workspace: Workspace) -> None:
    with open_reader(workspace) as reader:
        assert isinstance(reader, RegistryReader)


def test_a_gateway_that_answers_is_asked(workspace: Workspace, health_url: str) -> None:
    write_gateway(workspace.gateway, address_of(health_url))
    with open_reader(workspace) as reader:
        assert isinstance(reader, ArenaClient)
        assert reader.runs() == []


def test_a_gateway_whose_process_is_gone_is_not_asked(workspace: Workspace, health_url: str) -> None:
    # Somebody else listens at its port by now.
    write_gateway(workspace.gateway, address_of(health_url, pid=dead_pid()))
    assert find_client(workspace) is None


def test_a_gateway_that_does_not_answer_leaves_the_registry_to_answer(workspace: Workspace) -> None:
    write_gateway(workspace.gateway, address_of("http://127.0.0.1:9"))
    with open_reader(workspace) as reader:
        assert isinstance(reader, RegistryReader)


def test_whether_a_gateway_elsewhere_lives_cannot_be_told_by_its_pid() -> None:
    assert is_running_here(address_of("http://10.1.2.3:80", pid=dead_pid())) is None
    assert is_running_here(address_of("http://127.0.0.1:80")) is True


def test_a_client_is_required_with_what_to_do_where_there_is_none(workspace: Workspace) -> None:
    with pytest.raises(ClusterUnavailable, match="arena up"):
        require_client(workspace)


def test_a_gateway_that_is_starting_again_is_waited_for(workspace: Workspace, health_url: str) -> None:
    write_gateway(workspace.gateway, address_of(health_url, pid=dead_pid()))
    timer = threading.Timer(0.4, write_gateway, (workspace.gateway, address_of(health_url)))
    timer.start()
    with require_client(workspace) as client:
        assert client.health().status == "ok"
    timer.join()
