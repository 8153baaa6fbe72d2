"""What counts as the same when two checkpoints are compared."""

from __future__ import annotations

import random
import time
from collections import deque

import numpy as np
import pytest
import torch

from arena_ray.harness.fingerprints import Fingerprints


class Thing:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Slotted:
    __slots__ = ("place",)

    def __init__(self, place):
        self.place = place


def itself():
    found: dict = {}
    found["me"] = found
    return found


def generator(draws):
    made = np.random.default_rng(1)
    made.random(draws)
    return made


def drawn(draws):
    made = random.Random(1)
    for _ in range(draws):
        made.random()
    return made


def is_same(one, other):
    return Fingerprints().of(one) == Fingerprints().of(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: {"b": [1, 2.5, None], "a": ("x", b"y", {3, 4})},
        lambda: np.arange(6, dtype=np.float32).reshape(2, 3),
        lambda: torch.arange(6.0).reshape(2, 3)[:, 1],
        lambda: torch.ones(2, dtype=torch.bfloat16),
        lambda: Thing(x=Slotted(1), y=deque([1], maxlen=3), z=np.array([Slotted(2)], dtype=object)),
        lambda: generator(3),
        lambda: drawn(3),
        lambda: float("nan"),
        itself,
        lambda: lambda x: x + 1,
    ],
)
def test_equal_objects_have_equal_digests(make):
    assert is_same(make(), make())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        (np.zeros(2), np.zeros(2, dtype=np.float32)),
        (np.zeros(2), np.zeros((2, 1))),
        (torch.zeros(2), torch.tensor([0.0, 1e-45])),
        (Thing(x=1), Thing(x=2)),
        (Slotted(1), Slotted(2)),
        (generator(3), generator(4)),
        (drawn(3), drawn(4)),
        ({"a": 1}, {"a": 1, "b": 1}),
        (lambda x: x + 1, lambda x: x * 2),
        (len, max),
    ],
)
def test_what_differs_in_a_bit_has_another_digest(one, other):
    assert not is_same(one, other)


def test_moments_and_spans_of_the_clock_count_as_equal():
    now = time.time()
    assert is_same({"begun": now}, {"begun": now + 5})
    assert is_same(Thing(time_queue=deque([0.5])), Thing(time_queue=deque([0.7])))
    assert is_same({"episode": {"r": 1.0, "t": np.float32(0.1)}}, {"episode": {"r": 1.0, "t": np.float32(0.2)}})
    assert is_same({"sps": 1700}, {"sps": 1800})


def test_a_step_called_t_is_not_taken_for_time():
    assert not is_same({"t": 3}, {"t": 4})
    assert not is_same({"r": 1.5}, {"r": 1.25})


def test_whether_a_tensor_has_a_graph_makes_no_difference():
    weight = torch.ones(1, requires_grad=True)
    assert is_same((weight * 2).sum(), torch.tensor(2.0))
