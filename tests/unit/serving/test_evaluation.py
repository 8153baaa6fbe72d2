from __future__ import annotations

import math
from typing import Any

import pytest

from arena_ray.model.errors import ArenaError, UnknownEnvironment
from arena_ray.serving.client import Answer
from arena_ray.serving.evaluation import MOST_AT_ONCE, Evaluation, evaluate, first_observation


class Lefty:
    """Goes left always; counts what it was asked."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, observations: Any) -> Answer:
        self.batches.append(len(observations))
        return Answer(action=[0] * len(observations), version=len(self.batches) // 5 + 1)


def test_episodes_are_played_side_by_side_to_their_ends() -> None:
    act = Lefty()
    played = evaluate(act, "CartPole-v1", episodes=4, seed=2)
    assert len(played.returns) == 4
    assert all(8 <= value <= 11 for value in played.returns)
    assert act.batches[0] == 4
    assert len(act.batches) == played.max
    assert played.versions == (1, 2, 3)[: len(played.versions)]


def test_actions_of_numbers_are_taken_as_arrays_of_the_environments_type() -> None:
    played = evaluate(lambda asked: Answer(action=[[0.5]] * len(asked), version=1), "Pendulum-v1", episodes=2, seed=0)
    assert len(played.returns) == 2
    assert all(-2000 < value < 0 for value in played.returns)


def test_each_episode_has_its_own_seed_whatever_is_played_beside_it() -> None:
    many = evaluate(Lefty(), "CartPole-v1", episodes=3, seed=0).returns
    assert tuple(evaluate(Lefty(), "CartPole-v1", episodes=1, seed=seed).returns[0] for seed in range(3)) == many


def test_more_episodes_than_are_played_at_once_are_played_in_turns() -> None:
    act = Lefty()
    assert len(evaluate(act, "CartPole-v1", episodes=MOST_AT_ONCE + 1, seed=0).returns) == MOST_AT_ONCE + 1
    assert max(act.batches) == MOST_AT_ONCE


def test_without_an_episode_nothing_is_invented() -> None:
    empty = Evaluation("CartPole-v1", 0, (), ())
    assert all(math.isnan(value) for value in (empty.mean, empty.std, empty.min, empty.max))


def test_an_environment_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownEnvironment, match="'Nowhere-v0' cannot be made"):
        first_observation("Nowhere-v0", seed=0)


def test_an_answer_of_another_length_is_an_error() -> None:
    with pytest.raises(ArenaError, match="2 observations were answered with 1"):
        evaluate(lambda _: Answer(action=1, version=1), "CartPole-v1", episodes=2, seed=0)


def test_the_first_observation_is_that_of_the_seed() -> None:
    assert first_observation("CartPole-v1", seed=1) == first_observation("CartPole-v1", seed=1)
    assert len(first_observation("CartPole-v1", seed=1)) == 4
