from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest
import tqdm
from rich.progress import track

from arena_ray.harness.mainloop import Instrumented, instrument
from arena_ray.harness.passes import CannotSeek, Passes
from arena_ray.harness.variables import Variables


def program(loop: str) -> Instrumented:
    found = instrument(f"{loop}\n    env.step()".encode(), "script.py")
    assert found
    return found


class Script:
    """A script at its first boundary, whose main loop goes over *iterable* and binds *target*."""

    def __init__(self, iterable: Any, *, target: str = "iteration", **names: Any) -> None:
        self.passes = Passes(program(f"for {target} in LOOP:"))
        self.iterator = self.passes.begin(iterable)
        self.names = {**names, target: next(self.iterator)}

    def seek(self, step: int, total: int | None = 80, *, boundary: int = 6) -> dict[str, Any]:
        variables = Variables(sys._getframe(), None)
        variables.globals = self.names
        return self.passes.seek(variables, step=step, total=total, boundary=boundary)


@pytest.mark.parametrize(
    "iterable",
    [range(1, 6), tqdm.trange(1, 6, disable=True), track(range(1, 6), disable=True), list(range(1, 6))],
    ids=["range", "tqdm", "rich", "list"],
)
def test_a_loop_in_passes_goes_on_at_the_same_share(iterable: Any) -> None:
    script = Script(iterable, global_step=0)
    assert script.seek(48) == {"global_step": 48, "iteration": 4}
    assert list(script.iterator) == [5]
    assert (script.passes.at(6), script.passes.at(7)) == (3, 4)


def test_a_share_between_two_passes_is_rounded_down() -> None:
    assert Script(range(2), global_step=0).seek(24) == {"global_step": 24}
    assert Script(range(2), global_step=0).seek(79) == {"global_step": 79, "iteration": 1}


@pytest.mark.parametrize("iterable", [range(0, 80, 8), (n for n in range(0, 80, 8)), itertools.count(0, 8)])
def test_a_loop_over_the_steps_goes_on_at_the_first_that_is_no_smaller(iterable: Any) -> None:
    script = Script(iterable, target="global_step")
    assert script.seek(44, None) == {"global_step": 48}
    assert next(script.iterator) == 56
    assert script.passes.at(6) == 6


def test_a_loop_with_a_condition_is_given_the_step() -> None:
    passes = Passes(program("while t < 80:"))
    variables = Variables(sys._getframe(), None)
    variables.globals = {"t": 0}
    assert passes.seek(variables, step=44, total=None, boundary=6) == {"t": 44}
    assert passes.at(6) == 6


@pytest.mark.parametrize(
    ("script", "total", "reason"),
    [
        (Script((n for n in range(5)), global_step=0), 80, "a generator, which does not say how many passes"),
        (Script(range(5), global_step=0), None, "no flag that says how many steps"),
        (Script(range(5), global_step=0), 8, "the main loop ends before pass 5"),
        (Script([0] * 5, target="each[0]", global_step=0), 80, "more than one variable"),
        (Script(range(5), done=0), 80, "counts its steps in no variable"),
        (Script(range(5), target="t"), 80, "ends before step 48"),
        (Script([0, 1, 0], target="t"), 80, "t does not count up to step 48"),
    ],
)
def test_where_the_place_cannot_be_told_the_reason_is(script: Script, total: int | None, reason: str) -> None:
    with pytest.raises(CannotSeek, match=reason):
        script.seek(48, total)


def test_an_asynchronous_loop_cannot_be_moved() -> None:
    passes = Passes(program("async def main():\n  async for t in LOOP:"))
    variables = Variables(sys._getframe(), None)
    variables.globals = {"t": 0}
    with pytest.raises(CannotSeek, match="async for"):
        passes.seek(variables, step=1, total=1, boundary=1)
