"""What counts as a replay buffer where the experiment file wants none in its checkpoints."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from arena_ray.harness import capture
from arena_ray.harness.live import LiveMap
from arena_ray.harness.replay_buffers import LEFT_OUT_FROM_BYTES, leave_out
from arena_ray.harness.variables import Variables

LARGE = LEFT_OUT_FROM_BYTES // 8


class ReplayBuffer:
    def __init__(self, size: int) -> None:
        self.observations = np.zeros(size)
        self.position = 0


class Trainer:
    def __init__(self, memory: Any) -> None:
        self.memory = memory
        self.steps = 3


class BufferedNet(torch.nn.Linear):
    pass


def state_of(**names: Any) -> capture.State:
    frame: Any = SimpleNamespace(f_globals=names, f_locals={})
    variables = Variables(frame, None)
    # the classes of this file are the script's own: it lies in the script's directory
    return capture.take(variables, LiveMap(variables, script_dir=Path(__file__).parent, fixed=[]))


def left_out(**names: Any) -> list[str]:
    state = state_of(**names)
    leave_out(state)
    return [item["name"] for item in state.skipped]


@pytest.mark.parametrize(
    "names",
    [
        {"rb": ReplayBuffer(LARGE)},
        {"replay": np.zeros(LARGE)},
        {"my_buffer": torch.zeros(LARGE, dtype=torch.float64)},
        {"buffer": {"observations": np.zeros(LARGE), "position": 0}},
        {"ReplayMemory": deque([(np.zeros(LARGE // 2), 1), (np.zeros(LARGE // 2), 2)])},
    ],
    ids=lambda names: next(iter(names)),
)
def test_a_large_replay_buffer_is_left_out_and_named(names: dict[str, Any]) -> None:
    assert left_out(**names) == list(names)


@pytest.mark.parametrize(
    "names",
    [
        {"rb": ReplayBuffer(LARGE - 1)},
        {"memory": np.zeros(LARGE)},
        {"buffer_size": 10_000_000, "buffer_path": "x" * LEFT_OUT_FROM_BYTES, "buffer": None},
        {"buffered": BufferedNet(LARGE, 2)},
    ],
    ids=["small", "otherwise called", "of the buffer", "network"],
)
def test_all_else_is_kept(names: dict[str, Any]) -> None:
    assert left_out(**names) == []


def test_all_attributes_of_a_buffer_stay_as_the_new_process_makes_them() -> None:
    state = state_of(rb=ReplayBuffer(LARGE), steps=3)
    leave_out(state)
    assert [slot for slot in state.values if slot[0] != "state"] == [("global", "", "steps")]


def test_a_buffer_that_somebody_else_holds_is_left_out_there_too() -> None:
    buffer = ReplayBuffer(LARGE)
    state = state_of(trainer=Trainer(buffer), rb=buffer)
    leave_out(state)
    assert ("own", "trainer", "memory") not in state.values
    assert ("own", "trainer", "steps") in state.values
    assert len(state.skipped) == 1
