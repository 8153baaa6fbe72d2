"""The lineage of a population: a lane a run, an arrow an exploit, the way to the best run's weights bold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from arena_ray.model.records import Lineage
from arena_ray.model.states import ExploitCause, ExploitOutcome, RunState
from arena_ray.plots.colours import Colours
from arena_ray.plots.drawing import new_figure, require_format, save
from arena_ray.plots.lanes import SCORE, Lanes, Passing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 11.0
_INK, _FAINT, _BAD = "#1a1a1a", "#8a8a8a", "#c62828"
_STYLES = {
    ExploitOutcome.APPLIED: ("-", _FAINT),
    ExploitOutcome.COMMITTED: ("--", _FAINT),
    ExploitOutcome.FAILED: (":", _BAD),
    ExploitOutcome.ABANDONED: (":", _FAINT),
}
_ENDS = {RunState.COMPLETED: ("o", _INK), RunState.FAILED: ("X", _BAD), RunState.STOPPED: ("s", _FAINT)}
_GOING_ON = (">", _INK)


def save_lineage(lineage: Lineage, path: Path, *, colour: str = SCORE) -> None:
    """Draw *lineage*, as a client's ``lineage`` returns it, into the file *path*: a ``.png`` or ``.svg``.

    Args:
        lineage: Of one plugin execution.
        path: Where to; a file that is there is replaced.
        colour: By what the lanes are coloured: ``score``, or the name of a hyperparameter.

    Raises:
        SpecError: There is nothing to draw, no such hyperparameter, or *path* is no such file.
        MissingPackage: matplotlib is not installed.
    """
    require_format(path)
    save(draw_lineage(lineage, colour=colour), path)


def draw_lineage(lineage: Lineage, *, colour: str = SCORE) -> Figure:
    """Return the drawing of *lineage* as a figure of matplotlib's; see :func:`save_lineage`."""
    lanes = Lanes(lineage, colour=colour)
    count = len(lanes.runs)
    room = min(0.45, max(0.17, 12.0 / count))
    figure = new_figure(width=_WIDTH, height=1.5 + room * count)
    axes = figure.add_subplot()
    _draw_lanes(axes, lanes, thick=room * 20)
    for passing in lanes.passings():
        _draw_passing(axes, passing, thick=room)
    _label(axes, lanes, size=max(5.5, min(9.0, room * 26)))
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False, fontsize=7)
    return figure


def _draw_lanes(axes: Axes, lanes: Lanes, *, thick: float) -> None:
    from matplotlib.collections import LineCollection

    way, pieces = lanes.way(), lanes.pieces()
    lines = [[(piece.begin, piece.lane), (piece.end, piece.lane)] for piece in way]
    bold = LineCollection(lines, colors=_INK, linewidths=thick + 3.0, capstyle="butt", zorder=1, label="way")
    bold.set_gid("way")
    axes.add_collection(bold)
    is_score = lanes.colour == SCORE
    colours = Colours([piece.value for piece in pieces], is_score=is_score, is_reversed=is_score and _is_min(lanes))
    lines = [[(piece.begin, piece.lane), (piece.end, piece.lane)] for piece in pieces]
    on_the_way = {piece.lane for piece in way}
    widths = [thick if piece.lane in on_the_way else 0.7 * thick for piece in pieces]
    painted = LineCollection(
        lines, colors=[colours.of(piece.value) for piece in pieces], linewidths=widths, capstyle="butt", zorder=2
    )
    painted.set_gid("lanes")
    axes.add_collection(painted)
    for lane, run in enumerate(lanes.runs):
        marker, ink = _ENDS.get(run.state, _GOING_ON)
        axes.plot(run.global_step, lane, marker=marker, color=ink, markersize=max(3.0, thick * 0.7), zorder=4)
    colours.add_bar(axes, label=lanes.standing.metric if is_score else lanes.colour)


def _is_min(lanes: Lanes) -> bool:
    return bool(lanes.standing.execution.settings.get("mode", "max") == "min")


def _draw_passing(axes: Axes, passing: Passing, *, thick: float) -> None:
    style, ink = _STYLES[passing.exploit.outcome]
    if passing.is_on_the_way:
        ink = _INK
    size = max(3.0, 12 * thick)
    if passing.exploit.outcome in (ExploitOutcome.FAILED, ExploitOutcome.ABANDONED):
        axes.plot(*passing.receiver, marker="x", color=ink, markersize=size, zorder=5)
    if passing.exploit.cause is ExploitCause.SCHEDULE:
        axes.plot(*passing.receiver, marker="|", color=ink, markersize=2 * size, zorder=3)
        return
    lanes_apart = abs(passing.donor[1] - passing.receiver[1])
    bend = min(0.15, 0.6 / max(1, lanes_apart))  # else arrows of one step lie on each other
    arrow = {
        "arrowstyle": "-|>",
        "connectionstyle": f"arc3,rad={bend}",
        "linestyle": style,
        "color": ink,
        "linewidth": 1.8 if passing.is_on_the_way else 0.7,
        "mutation_scale": 5 + 10 * thick,
        "shrinkA": 0,
        "shrinkB": 2,
    }
    axes.annotate(
        "", passing.receiver, xytext=passing.donor, arrowprops=arrow, zorder=4 if passing.is_on_the_way else 3
    )


def _label(axes: Axes, lanes: Lanes, *, size: float) -> None:
    standing, winner = lanes.standing, lanes.standing.winner
    names = []
    for run in lanes.runs:
        score = standing.score(run)
        names.append(f"run {run.member}   {score:.4g}" if score == score else f"run {run.member}   -")  # NaN
    axes.set_yticks(range(len(names)), names, fontsize=size)
    if winner is not None:
        axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, max(run.global_step for run in lanes.runs) * 1.02 or 1)
    axes.set_xlabel("steps")
    axes.xaxis.set_major_formatter(_thousands)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    applied = sum(one.outcome is ExploitOutcome.APPLIED for one in lanes.lineage.exploits)
    execution = standing.execution
    axes.set_title(f"{execution.plugin} on {execution.experiment}: {len(names)} runs, {applied} exploits", loc="left")


def _thousands(step: float, _: Any) -> str:
    return f"{step:,.0f}"


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=_INK, linewidth=3, label="way to the best run's weights"),
        Line2D([], [], color=_FAINT, marker=">", label="exploit, from donor to receiver"),
        Line2D([], [], color=_BAD, linestyle=":", marker="x", label="failed"),
        Line2D([], [], color=_FAINT, linestyle=":", marker="x", label="undone"),
        Line2D([], [], color=_FAINT, linestyle="--", marker=">", label="not yet carried out"),
    ]
