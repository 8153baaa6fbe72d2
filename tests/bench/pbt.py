"""Population-based training in place, against Ray's stock PopulationBasedTraining with and without reuse_actors.

All three train the same populations of ppo on CartPole-v1, one after the other, seed by seed; see :mod:`stock` for the
peer. Measured are

- the time from the scheduler's decision that a member is to take over another one's weights to the moment when that
  member's training process, holding at its boundary, goes on with them. Both ends are noted by the stopwatch
  (``stopwatch/sitecustomize.py``), which sits in the processes of both sides: where the decision comes out of the
  scheduler, and where the script leaves its boundary. All exploits of all seeds count.
- the wall clock of a whole race: from the call that starts it to the one that has its result. Neither has to start a
  Ray for it. Once with room for all members at once, and once with a slot for every fourth.
- the best member's return at the end. There are few steps and the range of learning rates is wide, so that most
  members would not learn on their own.

The races are short and their intervals some seconds, so that exploits weigh as much as they ever do: at intervals of
minutes all three come to the same wall clock. Steps, interval and population are printed with the figures. Ray's PBT
without reuse_actors takes part with the first seeds only: a race of it takes minutes. In all about twelve minutes on
two cores.

Last comes where the time goes when a run of ours is at a milestone: medians of each stage, by the stopwatch too.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from ours import open_in_place
from peer import open_stock
from race import Outcome, Race
from table import percentile, percentiles_row, ratios, row
from timeline import STAGES, TAKEN_OVER, Stages

CPUS = 2
SEEDS = (1, 2, 3, 4, 5)
SEEDS_OF_STOCK = SEEDS[:2]  # without reuse_actors: they take minutes
TOGETHER = Race(seed=1, population=8, steps=10_240, interval=2_048, cpu=0.25)
IN_TURNS = replace(TOGETHER, steps=4_096, cpu=1.0)

IN_PLACE, STOCK, REUSE = "in place", "stock", "stock, reuse_actors"
Outcomes = dict[str, list[Outcome]]
"""Of each side, race by race."""


def measure() -> None:
    together: Outcomes = {IN_PLACE: [], STOCK: [], REUSE: []}
    in_turns: Outcomes = {IN_PLACE: [], STOCK: [], REUSE: []}
    arrivals: list[Stages] = []
    with (
        tempfile.TemporaryDirectory(prefix="arena-bench-") as work,
        open_in_place(Path(work, "in-place"), num_cpus=CPUS) as in_place,
        open_stock(Path(work, "stock"), num_cpus=CPUS, log=Path(work, "stock.log")) as stock,
    ):
        sides: dict[str, Callable[[Race], Outcome]] = {
            IN_PLACE: in_place.run_race,
            STOCK: partial(stock.run_race, reuse_actors=False),
            REUSE: partial(stock.run_race, reuse_actors=True),
        }
        for seed in SEEDS:
            taking_part = {side: run for side, run in sides.items() if side != STOCK or seed in SEEDS_OF_STOCK}
            run_round(taking_part, replace(TOGETHER, seed=seed), together)
            arrivals += in_place.arrivals
        run_round(sides, IN_TURNS, in_turns)
    report(together, in_turns, arrivals)


def run_round(sides: dict[str, Callable[[Race], Outcome]], race: Race, outcomes: Outcomes) -> None:
    for side, run_race in sides.items():
        outcome = run_race(race)
        outcomes[side].append(outcome)
        told = f"{outcome.wall_s:6.1f} s, best {outcome.best_return:5.1f}, {outcome.steps_trained:,} steps"
        counts = f"{len(outcome.exploits_s)} exploits, {outcome.processes} training processes"
        print(f"  seed {race.seed}, {side:20} {told}, {counts}", flush=True)


def report(together: Outcomes, in_turns: Outcomes, arrivals: list[Stages]) -> None:
    print(f"\n{describe(TOGETHER)}, all at once")
    report_exploits(together)
    report_walls(together, goals={STOCK: "goal <= 0.6", REUSE: "goal <= 0.9"})
    report_returns(together)
    print(f"\n{describe(IN_TURNS)}, {CPUS} at a time")
    report_walls(in_turns, goals={})
    print("\nfrom a boundary that is a milestone to the next step, milliseconds, of exploits and of the others")
    report_stages(arrivals)


def describe(race: Race) -> str:
    return f"{race.population} runs of ppo on {CPUS} CPUs, {race.steps:,} steps, milestones every {race.interval:,}"


def report_exploits(outcomes: Outcomes) -> None:
    times = {side: [one for each in found for one in each.exploits_s] for side, found in outcomes.items()}
    for side, values in times.items():
        goal = "goal: p50 <= 0.15" if side == IN_PLACE else ""
        percentiles_row(f"decision to next training step, {side}, seconds", values, goal)
    if all(times.values()):
        for side, goal in {STOCK: "goal >= 20", REUSE: ""}.items():
            factor = percentile(times[side], 0.5) / percentile(times[IN_PLACE], 0.5)
            print(f"{f'p50 of {side} / in place':52} {factor:10.1f}  {goal}")


def report_walls(outcomes: Outcomes, *, goals: dict[str, str]) -> None:
    walls = {side: [outcome.wall_s for outcome in found] for side, found in outcomes.items()}
    for side, values in walls.items():
        row(f"wall clock, {side}, seconds", values)
    for side in (STOCK, REUSE):
        same_seeds = walls[IN_PLACE][: len(walls[side])]
        row(f"wall clock, in place / {side}", ratios(same_seeds, walls[side]), goals.get(side, ""))


def report_returns(outcomes: Outcomes) -> None:
    for side, found in outcomes.items():
        row(f"steps trained, {side}", [float(outcome.steps_trained) for outcome in found])
    for side, found in outcomes.items():
        row(f"training processes started, {side}", [float(outcome.processes) for outcome in found])
    for side, found in outcomes.items():
        goal = "goal: not below stock's" if side == IN_PLACE else ""
        row(f"best return of {len(found)} seeds, {side}", [outcome.best_return for outcome in found], goal)


def report_stages(arrivals: list[Stages]) -> None:
    exploits = [stages for stages in arrivals if TAKEN_OVER in stages]
    others = [stages for stages in arrivals if TAKEN_OVER not in stages]
    for title in STAGES:
        cells = [_milliseconds([stages[title] for stages in group if title in stages]) for group in (exploits, others)]
        print(f"  {title:50} {cells[0]}  {cells[1]}")
    cells = [_milliseconds([sum(stages.values()) for stages in group]) for group in (exploits, others)]
    print(f"  {'in all':50} {cells[0]}  {cells[1]}")


def _milliseconds(values: list[float]) -> str:
    return f"{1e3 * statistics.median(values):8.1f}" if values else f"{'':8}"
