"""Looks after runs while they train: what goes wrong is noted, told to a webhook, and paused or stopped."""

from __future__ import annotations

import json
import math
import statistics
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from arena_ray.plugin import Metrics, PluginApi, PluginContext, PluginRun, register_plugin

ACTIONS = ("ignore", "note", "pause", "stop")
SYMPTOMS = {
    "nan": "a value that was logged is not a number any more",
    "entropy_collapse": "the policy's entropy has fallen below a share of its highest",
    "kl_blow_up": "an update changes the policy too much",
    "flat_return": "the return has not grown any more",
    "falling_speed": "the training has become slow",
    "idle_gpu": "a GPU is reserved and does nothing",
}
RETURN, KL, GPU = "charts/episodic_return", "losses/approx_kl", "system/gpu_utilization"
WEBHOOK_TIMEOUT_S = 5.0
Points = Sequence[tuple[int, float, float]]


def check(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong between the settings."""
    url = settings["webhook"] or "https://"
    return [] if url.startswith(("https://", "http://")) else [f"webhook must be an http or https address, not {url}"]


@register_plugin(
    name="performance_monitor",
    scope="run",
    description="Looks after runs: NaN, entropy, KL, flat return, falling speed, idle GPU",
    icon="🩺",
    author="arena_ray",
    tags=["monitoring", "early stopping"],
    check=check,
    settings_schema={
        **{
            f"on_{symptom}": {
                "type": "choice",
                "default": "note",
                "options": list(ACTIONS),
                "description": f"What is done where {meaning}.",
            }
            for symptom, meaning in SYMPTOMS.items()
        },
        "grace_steps": {
            "type": "int",
            "default": 10_000,
            "min": 0,
            "description": "Steps before which nothing but NaN is looked for.",
        },
        "window": {
            "type": "int",
            "default": 20,
            "min": 4,
            "max": 1000,
            "description": "So many points are compared with as many before them.",
        },
        "entropy_share": {
            "type": "float",
            "default": 0.05,
            "min": 0,
            "max": 1,
            "description": "The entropy has collapsed below this share of its highest.",
        },
        "kl_limit": {
            "type": "float",
            "default": 0.5,
            "min": 0,
            "description": "Mean approx_kl of the window above which updates are too large.",
        },
        "flat_steps": {
            "type": "int",
            "default": 100_000,
            "min": 1,
            "description": "The return is flat if it has not grown over so many steps.",
        },
        "flat_growth": {
            "type": "float",
            "default": 0.01,
            "min": 0,
            "description": "Growth that counts, as a share of the return before.",
        },
        "speed_share": {
            "type": "float",
            "default": 0.5,
            "min": 0,
            "max": 1,
            "description": "The training is slow below this share of its median speed.",
        },
        "gpu_percent": {
            "type": "float",
            "default": 5.0,
            "min": 0,
            "max": 100,
            "description": "A GPU is idle whose utilization stays below it over the window.",
        },
        "webhook": {
            "type": "string",
            "description": "Address to which each symptom is posted as JSON, once for each run.",
        },
    },
)
def performance_monitor(context: PluginContext, api: PluginApi) -> tuple[str, str] | None:
    """Look at one run, and say what is to become of it."""
    settings, run = context.settings, api.get_run(context.target_id)
    found = dict(symptoms(run.get_metrics(max_points=1000), context.metadata["global_step"], settings))
    wanted = {symptom: text for symptom, text in found.items() if settings[f"on_{symptom}"] != "ignore"}
    for symptom, text in wanted.items():
        if run.add_note(f"⚠️ {text}", key=symptom) and settings["webhook"]:
            _post(settings["webhook"], {"run": run.name, "symptom": symptom, "text": text}, api)
    worst = max(wanted, key=lambda symptom: ACTIONS.index(settings[f"on_{symptom}"]), default=None)
    if worst is None or settings[f"on_{worst}"] == "note":
        return None
    run.add_note(ledger_line(run, context.metadata, api), key="ledger")
    return settings[f"on_{worst}"], wanted[worst]


def symptoms(metrics: Metrics, global_step: int, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a run, each with a sentence."""
    scalars, window = metrics["scalars"], settings["window"]
    broken = [tag for tag, value in metrics["latest"].items() if scalars[tag] and not math.isfinite(value)]
    if broken:
        yield "nan", f"{', '.join(broken)}: not a number any more at step {global_step:,}"
    if global_step < settings["grace_steps"]:
        return
    for tag, points in scalars.items():
        values = _finite(points)
        if tag.rpartition("/")[2] == "entropy" and len(values) > window:
            now, highest = statistics.fmean(values[-window:]), max(values)
            if highest > 0 and now < settings["entropy_share"] * highest:
                yield "entropy_collapse", f"the entropy has fallen from {highest:.3g} to {now:.3g}"
    updates = _finite(scalars.get(KL, ()))[-window:]
    if len(updates) == window and statistics.fmean(updates) > settings["kl_limit"]:
        yield "kl_blow_up", f"mean approx_kl of {window} updates is {statistics.fmean(updates):.3g}"
    yield from _flat(scalars.get(RETURN, ()), settings)
    yield from _slow(max(scalars.values(), key=len, default=()), settings)
    load = _finite(scalars.get(GPU, ()))[-window:]
    if len(load) == window and max(load) < settings["gpu_percent"]:
        yield "idle_gpu", f"its GPU has been used by {max(load):.0f} % at most, over {window} looks"


def _finite(points: Points) -> list[float]:
    return [value for _, value, _ in points if math.isfinite(value)]


def _flat(points: Points, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Compare the mean return of the last steps with that of as many before them."""
    if not points:
        return
    last = points[-1][0]
    border, start = last - settings["flat_steps"], last - 2 * settings["flat_steps"]
    now = _finite([point for point in points if point[0] > border])
    before = _finite([point for point in points if start < point[0] <= border])
    if min(len(now), len(before)) < settings["window"]:
        return
    was, is_now = statistics.fmean(before), statistics.fmean(now)
    if is_now - was < settings["flat_growth"] * abs(was):
        yield "flat_return", f"mean return {is_now:.4g} over {settings['flat_steps']:,} steps, {was:.4g} before"


def _slow(points: Points, settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Compare the speed over the last window with the median over windows of the same size."""
    window = settings["window"]
    parts = [points[start : start + window + 1] for start in range(0, len(points) - window, window)]
    speeds = [speed for speed in map(_speed, parts) if speed > 0]
    if len(speeds) < 4:
        return
    median = statistics.median(speeds)
    if speeds[-1] < settings["speed_share"] * median:
        yield "falling_speed", f"{speeds[-1]:,.0f} steps/s, where the median is {median:,.0f}"


def _speed(points: Points) -> float:
    """Return steps/s, without the longest interval: there the run may have been paused, or begun anew."""
    intervals = [(end[0] - start[0], end[2] - start[2]) for start, end in pairwise(points)]
    intervals.remove(max(intervals, key=lambda interval: interval[1]))
    steps, seconds = (sum(each) for each in zip(*intervals, strict=True))
    return steps / seconds if seconds > 0 else math.nan


def ledger_line(run: PluginRun, metadata: Mapping[str, Any], api: PluginApi) -> str:
    """Return what ending the run now saves: the steps that are left, at its speed, times what it has reserved."""
    total, speed, step = run.config.get("total_timesteps"), metadata["steps_per_second"], metadata["global_step"]
    if not isinstance(total, int | float) or not speed > 0:
        return "📊 how much this saves is not known: total_timesteps or the speed is missing"
    resources = (api.db.runs.find_one({"run_id": run.run_id}) or {}).get("resources", {})
    amount, unit = (resources["gpu"], "GPU") if resources.get("gpu") else (resources.get("cpu", 0.0), "CPU")
    hours = max(0.0, total - step) / speed / 3600.0 * amount
    left = f"{total - step:,.0f} steps at {speed:,.0f} steps/s on {amount:g} {unit}"
    return f"📊 about {hours:.2f} {unit}-hours saved: {left}"


def _post(url: str, content: Mapping[str, str], api: PluginApi) -> None:
    body = json.dumps(content).encode()
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    try:
        urllib.request.urlopen(request, timeout=WEBHOOK_TIMEOUT_S).close()
    except OSError as exc:
        api.log(f"the webhook could not be told: {exc}", level="warning")
