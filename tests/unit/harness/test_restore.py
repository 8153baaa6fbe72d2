"""What a new process has of the variables that were captured."""

from pathlib import Path

import numpy as np
import pytest
from unit.harness.test_loading import seen, write

from arena_ray.harness import restore


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
