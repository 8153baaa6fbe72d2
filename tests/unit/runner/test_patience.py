from __future__ import annotations

import pytest

from arena_ray.runner.patience import Lapse, Patience


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patience(clock: Clock) -> Patience:
    made = Patience(end_s=100.0, clock=clock)
    made.start_within(10.0)
    return made


def test_a_script_that_reaches_no_main_loop_has_had_its_time(patience: Patience, clock: Clock) -> None:
    patience.hear()
    clock.now = 10.0
    assert patience.lapse is None
    clock.now = 10.1
    assert patience.lapse is Lapse.START


def test_a_script_in_its_main_loop_may_take_for_ever(patience: Patience, clock: Clock) -> None:
    patience.be_ready()
    clock.now = 1e9
    assert patience.lapse is None


def test_after_its_main_loop_only_silence_counts(patience: Patience, clock: Clock) -> None:
    patience.be_ready()
    patience.see_end()
    clock.now = 90.0
    patience.count(3)
    clock.now = 180.0
    patience.hear()
    clock.now = 270.0
    patience.count(3)
    assert patience.lapse is None
    clock.now = 280.1
    assert patience.lapse is Lapse.END


def test_a_second_main_loop_is_waited_for_like_the_first(patience: Patience, clock: Clock) -> None:
    patience.be_ready()
    patience.see_end()
    patience.be_ready()
    clock.now = 1e9
    patience.hear()
    assert patience.lapse is None
    patience.see_end()
    clock.now += 100.1
    assert patience.lapse is Lapse.END


def test_a_stop_is_waited_for_whatever_is_heard(patience: Patience, clock: Clock) -> None:
    patience.be_ready()
    patience.stop_within(5.0)
    clock.now = 5.1
    patience.see_end()
    patience.be_ready()
    patience.hear()
    assert patience.lapse is Lapse.STOP
