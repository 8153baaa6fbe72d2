from __future__ import annotations

import math
import random
from typing import Any

import pytest

from arena_ray.model.search_space import SearchSpace
from arena_ray.scheduling.pb2 import LEAST_STRETCHES, MOST_STRETCHES, Outset, Stretch, propose, proposed_names

SPACE = SearchSpace.parse({"lr": {"loguniform": [1e-4, 1e-1]}, "steps": {"randint": [1, 65]}})


def best_lr(milestone: int) -> float:
    """Where the gain is highest; it wanders from 1e-2 to 1e-3 in ten milestones."""
    return float(10.0 ** -(2.0 + milestone / 10.0))


def gain_of(lr: float, milestone: int) -> float:
    return math.exp(-2.0 * math.log10(lr / best_lr(milestone)) ** 2)


def history(count: int, *, last: int = 10, seed: int = 0) -> list[Stretch]:
    """Return stretches at random hyperparameters, spread over the milestones from 0 to *last*."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        milestone = last * number // count
        values = SPACE.sample(rng)
        found.append(Stretch(Outset(milestone, 10.0 + rng.random(), values), gain_of(float(values["lr"]), milestone)))
    return found


def proposal(
    known: list[Stretch], *, milestone: int = 10, pending: list[Outset] | None = None, seed: int = 0, **values: Any
) -> dict[str, Any]:
    start = Outset(milestone, 10.5, {"lr": 0.09, "steps": 3} | values)
    return propose(SPACE, start, known=known, pending=pending or [], rng=random.Random(seed))


@pytest.mark.parametrize("seed", range(3))
def test_proposals_move_to_where_most_is_gained_now(seed: int) -> None:
    proposed = proposal(history(48, seed=seed), seed=seed)
    assert abs(math.log10(proposed["lr"] / best_lr(10))) < 0.7
    assert abs(math.log10(0.09 / best_lr(10))) > 1.9, "it did not start there"


def test_what_was_best_long_ago_counts_less_than_what_is_best_now() -> None:
    values = [10.0**-power for power in (1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 3.6)]
    known = [
        Stretch(Outset(milestone, 10.0, {"lr": lr, "steps": 8}), -abs(math.log10(lr) - best))
        for milestone, best in [*((at, -1.2) for at in range(4)), *((at, -3.6) for at in range(16, 20))]
        for lr in values
    ]
    early, late = (propose_lr(known[:28], milestone=4), propose_lr(known, milestone=20))
    assert late < 2e-3 < 1e-2 < early


def propose_lr(known: list[Stretch], *, milestone: int) -> float:
    return float(proposal(known, milestone=milestone)["lr"])


def test_the_same_arguments_give_the_same_proposal_and_another_seed_may_not() -> None:
    known = history(20)
    assert proposal(known) == proposal(known)
    assert len({proposal(known, seed=seed)["lr"] for seed in range(4)}) > 1


def test_the_order_of_what_is_known_does_not_matter_but_for_equal_milestones() -> None:
    known = [Stretch(Outset(at, 10.0, {"lr": 1e-3 * (at + 1), "steps": at + 1}), float(at)) for at in range(8)]
    assert proposal(known) == proposal(known[::-1])


def test_what_others_are_trying_is_not_tried_once_more() -> None:
    known = history(LEAST_STRETCHES + 2)
    first = proposal(known)
    pending = [Outset(10, 10.5, first)] * 3
    second = proposal(known, pending=pending)
    distance = abs(math.log10(first["lr"] / second["lr"])) + abs(first["steps"] - second["steps"]) / 64
    assert distance > 0.2


@pytest.mark.parametrize("count", range(LEAST_STRETCHES))
def test_with_too_little_to_learn_from_the_perturbed_values_stay(count: int) -> None:
    assert proposal(history(count), other=True) == {"lr": 0.09, "steps": 3, "other": True}


def test_only_what_was_measured_teaches() -> None:
    known = history(LEAST_STRETCHES)
    spoilt = Stretch(known[0].outset, math.nan), Stretch(Outset(0, math.nan, known[1].outset.hyperparameters), 1.0)
    assert proposal([*spoilt, *known[2:]])["lr"] == 0.09
    assert proposal([*spoilt, *known]) == proposal(known)


def test_what_lies_far_back_is_forgotten() -> None:
    known = history(MOST_STRETCHES)
    ancient = [Stretch(Outset(0, 10.0, {"lr": 0.05, "steps": 60}), 100.0)] * 30
    recent = [Stretch(Outset(9, one.outset.score, one.outset.hyperparameters), one.gain) for one in known]
    assert proposal([*ancient, *recent]) == proposal(recent)


def test_equal_gains_and_scores_are_no_reason_to_fail() -> None:
    same = [Stretch(Outset(at, 1.0, {"lr": 1e-2, "steps": 5}), 0.0) for at in range(6)]
    assert SPACE.contains({name: proposal(same)[name] for name in SPACE.names})


def test_values_keep_their_types_and_bounds() -> None:
    space = SearchSpace.parse(
        {
            "a": {"uniform": [-1.0, 1.0]},
            "b": {"loguniform": [1e-5, 1e-1]},
            "c": {"randint": [2, 9]},
            "d": {"quniform": [0.1, 0.9, 0.2]},
            "e": {"choice": [16, 32]},
            "f": {"randint": [4, 5]},
        }
    )
    rng = random.Random(3)
    known = [Stretch(Outset(at // 4, rng.random(), space.sample(rng)), rng.random()) for at in range(30)]
    for seed in range(5):
        start = Outset(8, 0.5, space.sample(rng))
        proposed = propose(space, start, known=known, pending=[], rng=random.Random(seed))
        assert space.contains(proposed)
        assert [type(value) for value in proposed.values()] == [float, float, int, float, int, int]
        assert proposed["e"] == start.hyperparameters["e"], "a choice is perturbed, not proposed"


def test_choices_and_what_others_depend_on_are_not_proposed() -> None:
    space = SearchSpace.parse(
        {
            "kind": {"choice": ["a", "b"]},
            "layers": {"randint": [1, 3]},
            "width": {"randint": [8, 64], "when": {"layers": 2}},
            "lr": {"uniform": [0, 1]},
        }
    )
    assert proposed_names(space) == ["width", "lr"]
    known = [
        Stretch(Outset(at, 1.0, {"kind": "a", "layers": 1, "lr": at / 10}), 1.0 - abs(at / 10 - 0.7)) for at in range(9)
    ]
    start = Outset(9, 1.0, {"kind": "b", "layers": 1, "lr": 0.0})
    proposed = propose(space, start, known=known, pending=[], rng=random.Random(0))
    assert proposed.keys() == {"kind", "layers", "lr"}
    assert (proposed["kind"], proposed["layers"]) == ("b", 1)
    assert proposed["lr"] > 0.4
