"""What is described of each family of scripts acts as the script's own module does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from played_script import Played
from policy_families import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_outside_acts_as_its_own_module_on_the_same_observations(tmp_path: Path, family: str) -> None:
    source, kind = FAMILIES[family]
    played = Played(tmp_path / "script.py", source)
    described = played.describe()
    assert described["missing"] is None
    assert described["policy"]["kind"] == kind
    outside = played.deployed(tmp_path)
    outside.probe()
    size = described["environment"]["observation_space"]["shape"][0]
    observations = np.random.default_rng(0).standard_normal((64, size)).astype(np.float32) * 3
    with torch.no_grad():
        inside = played.names["inside"](played.seen(observations)).numpy()
    acted = np.asarray(outside.act(outside.check(observations.tolist())[0]))
    assert acted.shape == inside.shape
    assert len(np.unique(inside.round(3))) > 1
    assert np.allclose(acted, inside, rtol=0, atol=1e-6)
