"""What a new process has of the variables that were captured."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from unit.harness.test_loading import seen, write

from arena_ray.harness import capture, restore
from arena_ray.harness.snapshot import prepare


@pytest.mark.parametrize("where", [np.s_[2:], np.s_[::-2, 1], np.s_[1:, ::3]], ids=str)
def test_a_view_of_an_array_is_one_afterwards(tmp_path: Path, where: object) -> None:
    table = np.arange(24.0).reshape(4, 6)[:].copy()
    write(tmp_path / "one", {"table": table, "flat": table.reshape(-1), "part": table[where], "alone": np.ones(3)})
    again = {"table": None, "flat": None, "part": None, "alone": None}
    restore.restore(tmp_path / "one", seen(again)[0], advance=lambda: None)
    assert again["table"].tolist() == table.tolist()
    again["table"] += 100
    assert again["flat"].tolist() == (table + 100).reshape(-1).tolist()
    assert again["part"].tolist() == (table + 100)[where].tolist()
    assert again["alone"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "gather", [list, deque, lambda tensors: {"log_probs": [*tensors]}], ids=["list", "deque", "dict"]
)
def test_gathered_tensors_that_lose_their_graph_are_named(tmp_path: Path, gather: Callable[..., object]) -> None:
    weight = torch.ones(2, requires_grad=True)
    log_probs = [weight.sum() * factor for factor in (1.0, 2.0)]
    variables = {
        "weight": weight,
        "gathered": gather(log_probs),
        "loss": weight.sum(),
        "last": (weight * 2, weight * 3),
    }
    state = capture.take(*seen(variables))
    taken = prepare(state, {"step": 0, "boundary": 0}, path=tmp_path / "one", script=Path("script.py"))
    skipped = taken.write(taken.fill)["skipped"]
    assert [item["name"] for item in skipped] == ["gathered"]
    assert "hang on a graph for gradients" in skipped[0]["why"]
