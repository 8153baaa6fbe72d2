"""What performance_monitor sees in the metrics of a run, and what becomes of it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from arena_plugins.performance_monitor_plugin import SYMPTOMS, performance_monitor, symptoms
from arena_ray.model.errors import SpecError
from arena_ray.plugin.registration import plugin_of
from arena_ray.plugin.schema import check_settings

PLUGIN = plugin_of(performance_monitor)
Series = Mapping[str, list[float]]


def settings(**given: Any) -> dict[str, Any]:
    assert PLUGIN is not None
    return check_settings(PLUGIN.schema, given, place="settings")


def metrics(series: Series, *, step: int = 1000, seconds: Callable[[int], float] = float) -> Any:
    scalars = {
        tag: [(index * step, value, seconds(index)) for index, value in enumerate(values)]
        for tag, values in series.items()
    }
    latest = {tag: values[-1] if values else math.nan for tag, values in series.items()}
    return {"scalars": scalars, "latest": latest, "summary": {}}


def found(series: Series, **given: Any) -> list[str]:
    keys = {name: given.pop(name) for name in ("step", "seconds") if name in given}
    told = dict(symptoms(metrics(series, **keys), 1_000_000, settings(**{"window": 5, "flat_steps": 10_000} | given)))
    assert all(text for text in told.values())
    return list(told)


WELL: Series = {
    "charts/episodic_return": [float(value) for value in range(60)],
    "losses/entropy": [0.7 - 0.005 * value for value in range(60)],
    "losses/approx_kl": [0.01] * 60,
}


def test_a_run_that_does_well_has_no_symptom() -> None:
    assert found(WELL) == []


@pytest.mark.parametrize(
    ("symptom", "series"),
    [
        ("nan", {"losses/value_loss": [0.1, math.nan]}),
        ("nan", {"losses/value_loss": [0.1, math.inf]}),
        ("entropy_collapse", {"losses/entropy": [0.7] * 20 + [0.01] * 10}),
        ("kl_blow_up", {"losses/approx_kl": [0.01] * 20 + [0.9] * 5}),
        ("flat_return", {"charts/episodic_return": [100.0] * 60}),
        ("flat_return", {"charts/episodic_return": [100.0 - value for value in range(60)]}),
        ("idle_gpu", {"system/gpu_utilization": [90.0] * 20 + [1.0] * 5}),
    ],
)
def test_each_symptom_is_seen_in_what_was_logged(symptom: str, series: Series) -> None:
    assert found({**WELL, **series}) == [symptom]


def test_a_training_that_slows_down_is_seen() -> None:
    assert found(WELL, seconds=lambda index: index if index < 50 else 50 + (index - 50) * 10) == ["falling_speed"]


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"losses/value_loss": []},
        {"losses/entropy": [0.001] * 60},
        {"losses/entropy": [-1.0 - value for value in range(60)]},
        {"charts/episodic_return": [100.0] * 8},
        {"losses/approx_kl": [0.9] * 4},
    ],
)
def test_what_is_missing_or_too_short_is_no_symptom(series: Series) -> None:
    assert found(series) == []


def test_before_the_grace_is_over_only_nan_counts() -> None:
    series = {"charts/episodic_return": [1.0] * 60, "losses/value_loss": [math.nan]}
    assert [name for name, _ in symptoms(metrics(series), 9_999, settings())] == ["nan"]


class Run:
    """A run whose metrics are given."""

    run_id = "r"
    name = "CartPole-v1__ppo__1__1"

    def __init__(self, series: Series, **config: Any) -> None:
        self.config = {"total_timesteps": 1_000_000} | config
        self._series = series
        self.notes: dict[str, str] = {}

    def get_metrics(self, *, max_points: int) -> Any:
        return metrics(self._series)

    def add_note(self, message: str, *, key: str) -> bool:
        is_new = key not in self.notes
        self.notes.setdefault(key, message)
        return is_new


class Stage:
    """Api and context of one look at a run."""

    target_id = "r"
    db = property(lambda self: self)
    runs = property(lambda self: self)

    def __init__(self, run: Run, *, gpu: float = 0.0, speed: float = 1000.0, **given: Any) -> None:
        self.run, self.gpu, self.settings = run, gpu, settings(**given)
        self.metadata = {"global_step": 280_000, "steps_per_second": speed}
        self.logged: list[str] = []

    def get_run(self, run_id: str) -> Run:
        return self.run

    def find_one(self, query: Mapping[str, str]) -> dict[str, Any]:
        return {"resources": {"gpu": self.gpu, "cpu": 2.0}}

    def log(self, message: str, level: str) -> None:
        self.logged.append(message)

    def look(self) -> Any:
        return performance_monitor(self, self)


BROKEN: Series = {"losses/value_loss": [0.1, math.nan]}


def test_by_default_a_symptom_is_noted_once_and_the_run_goes_on() -> None:
    stage = Stage(Run(BROKEN))
    assert [stage.look(), stage.look()] == [None, None]
    assert stage.run.notes == {"nan": "⚠️ losses/value_loss: not a number any more at step 280,000"}


def test_the_worst_action_counts_and_the_ledger_says_what_it_saves() -> None:
    series = {**BROKEN, "charts/episodic_return": [1.0] * 300}
    stage = Stage(Run(series), gpu=0.5, on_nan="stop", on_flat_return="pause", flat_steps=20_000)
    action, reason = stage.look()
    assert (action, "losses/value_loss" in reason) == ("stop", True)
    assert stage.run.notes["ledger"] == "📊 about 0.10 GPU-hours saved: 720,000 steps at 1,000 steps/s on 0.5 GPU"


@pytest.mark.parametrize(("speed", "config"), [(math.nan, {}), (1000.0, {"total_timesteps": None})])
def test_what_is_saved_is_not_made_up(speed: float, config: dict[str, Any]) -> None:
    stage = Stage(Run(BROKEN, **config), speed=speed, on_nan="stop")
    stage.look()
    assert "is not known" in stage.run.notes["ledger"]


def test_a_symptom_can_be_left_alone() -> None:
    stage = Stage(Run(BROKEN), **{f"on_{symptom}": "ignore" for symptom in SYMPTOMS})
    assert stage.look() is None
    assert stage.run.notes == {}


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


def test_a_webhook_is_told_once_of_each_symptom(hook: tuple[str, list[Any]]) -> None:
    url, received = hook
    stage = Stage(Run(BROKEN), webhook=url)
    stage.look()
    stage.look()
    text = "losses/value_loss: not a number any more at step 280,000"
    assert received == [{"run": "CartPole-v1__ppo__1__1", "symptom": "nan", "text": text}]


def test_a_webhook_that_does_not_answer_hurts_nobody() -> None:
    stage = Stage(Run(BROKEN), webhook="http://127.0.0.1:9/", on_nan="stop")
    assert stage.look()[0] == "stop"
    assert "the webhook could not be told" in stage.logged[0]


def test_a_webhook_is_an_address_of_the_web() -> None:
    with pytest.raises(SpecError, match="webhook must be an http or https address, not file:///etc/passwd"):
        settings(webhook="file:///etc/passwd")


@pytest.mark.parametrize("gap", [30.0, 86_400.0])
def test_a_pause_is_no_falling_speed(gap: float) -> None:
    assert found(WELL, seconds=lambda index: index + gap * (index > 52)) == []
