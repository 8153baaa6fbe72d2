from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.naming import algorithm_of, new_id, run_name

AT = datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC)


def test_a_run_is_named_after_environment_algorithm_seed_and_whole_second() -> None:
    assert run_name("CartPole-v1", "ppo", 3, at=AT) == f"CartPole-v1__ppo__3__{int(AT.timestamp())}"


def test_a_suffix_tells_runs_of_one_second_apart() -> None:
    assert run_name("CartPole-v1", "ppo", 3, at=AT, suffix="a1b2") == run_name("CartPole-v1", "ppo", 3, at=AT) + "-a1b2"


def test_the_same_moment_in_another_zone_gives_the_same_name() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert run_name("CartPole-v1", "ppo", 3, at=elsewhere) == run_name("CartPole-v1", "ppo", 3, at=AT)


@pytest.mark.parametrize(
    ("script", "algorithm"),
    [("ppo", "ppo"), ("my/dir/sac.py", "sac"), ("/abs/td3_bc.py", "td3_bc"), ("two words.py", "two-words")],
)
def test_the_algorithm_is_the_scripts_file_name(script: str, algorithm: str) -> None:
    assert algorithm_of(script) == algorithm


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 2**63 - 1))
def test_whatever_the_parts_the_name_is_one_visible_path_component(env_id: str, script: str, seed: int) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_=][A-Za-z0-9._=-]*", run_name(env_id, script, seed, at=AT))


def test_an_environment_of_a_name_space_stays_one_path_component() -> None:
    assert run_name("ALE/Breakout-v5", "dqn", 1, at=AT).startswith("ALE-Breakout-v5__dqn__1__")


def test_ids_are_twelve_hexadecimal_digits_and_differ() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{12}", one) for one in ids)
