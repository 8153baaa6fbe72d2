from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arena_ray.runner.cores import Cores, offered_cores

OFFERED = {100, 101, 102}  # no machine here has these: they have no siblings


@pytest.fixture
def hold() -> Iterator[Callable[[Path, float], Cores]]:
    held: list[Cores] = []

    def make(directory: Path, cpu: float) -> Cores:
        held.append(Cores.hold(cpu, directory=directory, offered=OFFERED))
        return held[-1]

    yield make
    for cores in held:
        cores.close()


def test_no_core_is_held_twice(hold, tmp_path: Path) -> None:
    first, second = hold(tmp_path, 1), hold(tmp_path, 2)
    assert sorted(first.numbers + second.numbers) == [100, 101, 102]


def test_cores_are_free_again_once_they_are_given_back(hold, tmp_path: Path) -> None:
    first = hold(tmp_path, 3)
    first.close()
    assert first.numbers == []
    assert hold(tmp_path, 3).numbers == [100, 101, 102]


def test_it_is_all_or_none(hold, tmp_path: Path) -> None:
    two = hold(tmp_path, 2)
    assert hold(tmp_path, 2).numbers == []
    assert len(hold(tmp_path, 1).numbers + two.numbers) == 3


@pytest.mark.parametrize("cpu", [0, 0.5, 1.5])
def test_a_share_of_a_core_holds_none(hold, tmp_path: Path, cpu: float) -> None:
    assert hold(tmp_path, cpu).numbers == []


def test_the_folder_is_the_users_own(hold, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    (tmp_path / "cores").symlink_to(real)
    with pytest.raises(PermissionError, match="not this user's alone"):
        hold(tmp_path / "cores", 1)


def test_what_is_offered_is_what_this_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(allowed)})
        assert offered_cores() == {max(allowed)}
    finally:
        os.sched_setaffinity(0, allowed)
