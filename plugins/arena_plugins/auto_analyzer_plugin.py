"""Analyses an experiment: what is best, how runs go, which are stuck, what made the difference; a report with plots."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from arena_ray.plugin import PluginApi, PluginContext, register_plugin

FINAL = ("completed", "failed", "stopped")
MOST_CURVES = 12
Curve = list[tuple[int, float, float]]


@register_plugin(
    name="auto_analyzer",
    scope="experiment",
    description="Analyses an experiment: ranking, trends, stuck runs, importance; writes a report",
    icon="📈",
    author="arena_ray",
    tags=["analysis", "report"],
    settings_schema={
        "metric": {
            "type": "string",
            "default": "charts/episodic_return",
            "min": 1,
            "description": "The tag whose course is analysed.",
        },
        "repeat_minutes": {
            "type": "float",
            "min": 1,
            "description": "Analyse again so often, until all runs are over; else once.",
        },
        "trend_share": {
            "type": "float",
            "default": 0.05,
            "min": 0,
            "max": 1,
            "description": "A change by more than this share, over the last fifth, is a trend.",
        },
        "stuck_window": {
            "type": "int",
            "default": 20,
            "min": 5,
            "description": "A run is stuck whose last so many points are all but equal.",
        },
        "stuck_variance": {
            "type": "float",
            "default": 1e-6,
            "min": 0,
            "description": "Variance below which they are.",
        },
    },
)
def auto_analyzer(context: PluginContext, api: PluginApi) -> None:
    """Write the report, again and again if that is wanted."""
    settings = context.settings
    while True:
        data = api.get_experiment_data()
        curves = {
            run["run_id"]: api.get_metrics(run["run_id"], settings["metric"])["scalars"][settings["metric"]]
            for run in data["runs"]
        }
        ranking, importance = api.get_ranking(), api.get_importance()
        plots = draw(data["runs"], curves, importance["importances"], settings["metric"])
        text = "\n".join(report(data, curves, ranking, importance, settings, plots))
        path = api.save_report("analysis", text, files=plots)
        if not settings["repeat_minutes"] or all(run["state"] in FINAL for run in data["runs"]):
            break
        api.wait(minutes=settings["repeat_minutes"])
    api.add_note(f"📊 {headline(data['runs'], ranking)}\nreport: {path}")


def headline(runs: Sequence[Mapping[str, Any]], ranking: Mapping[str, Any]) -> str:
    """Return the best configuration in one sentence."""
    best = next(iter(ranking["configurations"]), None)
    if best is None:
        return f"{len(runs)} runs, none of which can be ranked yet"
    return f"best of {len(runs)} runs: {_values(best['hyperparameters'])}, {ranking['metric']} {_figure(best['iqm'])}"


def report(
    data: Mapping[str, Any],
    curves: Mapping[str, Curve],
    ranking: Mapping[str, Any],
    importance: Mapping[str, Any],
    settings: Mapping[str, Any],
    plots: Mapping[str, bytes],
) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"# {data['name']}\n\n{headline(data['runs'], ranking)}\n"
    yield "## Ranking\n\n| | configuration | seeds | IQM | interval |\n|---|---|---|---|---|"
    for place, each in enumerate(ranking["configurations"], start=1):
        reached = f"{_figure(each['iqm'])} | {_figure(each['low'])} to {_figure(each['high'])}"
        yield f"| {place} | {_values(each['hyperparameters'])} | {len(each['seeds'])} | {reached} |"
    yield "\n## Runs\n\n| run | state | steps | return | trend |\n|---|---|---|---|---|"
    for run in data["runs"]:
        course = trend(curves[run["run_id"]], settings)
        numbers = f"{run['global_step']:,} | {_figure(run['episodic_return'])}"
        yield f"| {run['name']} | {run['state']} | {numbers} | {course} |"
    yield "\n## What made the difference\n"
    yield importance["reason"] or "\n".join(
        f"- {name}: {share:.0%}" for name, share in importance["importances"].items()
    )
    yield f"\n## Saved\n\n{saved(data)}"
    for name in plots:
        yield f"\n![{name}]({name})"
    if not plots:
        yield "\nThere are no plots: they need matplotlib (`pip install 'arena_ray[plots]'`)."


def trend(curve: Curve, settings: Mapping[str, Any]) -> str:
    """Return how the last fifth of a curve, 5 points at least, stands to what was before."""
    values = [value for _, value, _ in curve if math.isfinite(value)]
    window = settings["stuck_window"]
    if len(values) >= window and statistics.pvariance(values[-window:]) < settings["stuck_variance"]:
        return "stuck"
    last = max(5, len(values) // 5)
    if len(values) < 2 * last:
        return "too short"
    now, before = statistics.fmean(values[-last:]), statistics.fmean(values[-2 * last : -last])
    change = (now - before) / abs(before) if before else math.copysign(math.inf, now) if now else 0.0
    if abs(change) <= settings["trend_share"]:
        return "level"
    return f"{'rising' if change > 0 else 'falling'} ({_figure(before)} to {_figure(now)})"


def saved(data: Mapping[str, Any]) -> str:
    """Return what was saved by runs that were stopped early: steps that are left, at their speed."""
    totals = {each["revision_id"]: each["flags"].get("total_timesteps") for each in data["revisions"]}
    hours = {"gpu": 0.0, "cpu": 0.0}
    unknown = 0
    for run in data["runs"]:
        if run["state"] != "stopped" or not run["started_at"]:
            continue
        total, speed = totals[run["revision_id"]], run["steps_per_second"]
        if not total or not speed:
            unknown += 1
            continue
        kind = "gpu" if run["resources"]["gpu"] else "cpu"
        hours[kind] += max(0, total - run["global_step"]) / speed / 3600.0 * run["resources"][kind]
    parts = [f"about {hours[kind]:.2f} {kind.upper()}-hours" for kind in hours if hours[kind]]
    tail = f" Of {unknown} that were stopped it is not known." if unknown else ""
    return (" and ".join(parts) or "Nothing: no run was stopped before its end.") + tail


def draw(
    runs: Sequence[Mapping[str, Any]], curves: Mapping[str, Curve], importances: Mapping[str, float], metric: str
) -> dict[str, bytes]:
    """Return plots by name; none where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return {}
    plots, figure = {}, Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    known = [run for run in runs if curves[run["run_id"]]]
    for run in sorted(known, key=lambda run: run["episodic_return"] or -math.inf, reverse=True)[:MOST_CURVES]:
        points = curves[run["run_id"]]
        axes.plot([step for step, _, _ in points], [value for _, value, _ in points], label=run["name"], linewidth=1)
    axes.set(xlabel="global step", ylabel=metric)
    if known:
        axes.legend(fontsize="x-small")
        plots["analysis-curves.png"] = _png(figure)
    if importances:
        figure = Figure(figsize=(6, 0.5 + 0.4 * len(importances)), layout="constrained")
        figure.subplots().barh(list(importances)[::-1], list(importances.values())[::-1])
        plots["analysis-importance.png"] = _png(figure)
    return plots


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return file.getvalue()


def _values(hyperparameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_figure(value)}" for name, value in hyperparameters.items()) or "as in the file"


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    return "-" if value is None else str(value)
