from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from unit.serving.conftest import DESCRIPTION, NUMBERS, changed, weights
from unit.serving.test_policy_files import Bomb, MakeCheckpoint

from arena_ray.model.errors import BadObservation, PolicyUnusable
from arena_ray.serving.policy import Policy
from arena_ray.serving.policy_files import read_checkpoint

Load = Callable[..., Policy]


@pytest.fixture
def load(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> Load:
    """Deploy a checkpoint's files and read the policy from them."""

    def make(description: dict[str, Any] = DESCRIPTION, tensors: Any = None) -> Policy:
        files = read_checkpoint(make_checkpoint(description, tensors))
        files.write(tmp_path / "deployed")
        return Policy.load(tmp_path / "deployed", digest=files.digest())

    return make


def test_its_outputs_are_those_of_the_layers_that_are_described(load: Load) -> None:
    policy, tensors = load(), weights()
    observations = torch.randn(5, 4)
    hidden = torch.tanh(torch.nn.functional.linear(observations, tensors["a.weight"], tensors["a.bias"]))
    assert torch.equal(policy.outputs(observations.numpy()), hidden @ tensors["b.weight"].T)


def test_the_greedy_action_is_the_index_of_the_largest_output(load: Load) -> None:
    policy = load(changed(DESCRIPTION, "environment.action_space.start", 3))
    observations = np.random.default_rng(1).standard_normal((6, 4), dtype=np.float32)
    assert policy.act(observations) == (policy.outputs(observations).argmax(1) + 3).tolist()


def test_a_sound_policy_passes_its_probe(load: Load) -> None:
    load().probe()


@pytest.mark.parametrize("shape", [[4], [2, 2], [4, 1]])
def test_observations_of_any_shape_are_flattened(load: Load, shape: list[int]) -> None:
    description = changed(DESCRIPTION, "environment.observation_space.shape", shape)
    space = description["environment"]["observation_space"]
    space["low"], space["high"] = "-inf", "inf"
    policy = load(description)
    policy.probe()
    assert len(policy.act(np.zeros((3, *shape), dtype=np.float32))) == 3


def test_a_policy_of_weights_that_are_not_finite_fails_its_probe(load: Load) -> None:
    tensors = weights()
    tensors["b.weight"][0, 0] = float("nan")
    with pytest.raises(PolicyUnusable, match="its outputs are not finite"):
        load(tensors=tensors).probe()


def test_a_policy_with_another_number_of_outputs_than_actions_fails_its_probe(load: Load) -> None:
    with pytest.raises(PolicyUnusable, match=r"gives \[2\] outputs an observation for 3 actions"):
        load(changed(DESCRIPTION, "environment.action_space.n", 3)).probe()


def test_a_policy_whose_bounds_are_of_another_shape_fails_its_probe(load: Load) -> None:
    with pytest.raises(PolicyUnusable, match="it does not act"):
        load(changed(DESCRIPTION, "environment.observation_space.low", [1, 2])).probe()


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"a.weight": torch.zeros(3, 4)}, "has no a.bias"),
        (weights() | {"a.bias": torch.zeros(4)}, r"a.bias is torch.float32 of shape \[4\]"),
        (weights() | {"a.weight": torch.zeros(3, 4, dtype=torch.int64)}, "a.weight is torch.int64"),
        (weights() | {"a.weight": torch.zeros(3, 4).double()}, "of 2 number types"),
    ],
)
def test_weights_that_do_not_fit_the_description_are_refused(load: Load, tensors: Any, reason: str) -> None:
    with pytest.raises(PolicyUnusable, match=reason):
        load(tensors=tensors)


@pytest.mark.parametrize(
    ("path", "new", "reason"),
    [
        ("schema_version", 1, "schema_version of its policy.json"),
        ("policy.network.1.layer", "exec", "policy.network.1"),
        ("policy.kind", "poetic", "policy of its policy.json: Input tag 'poetic'"),
        ("policy.act", "sample", "a policy that is categorical acts by its mode, not by its 'sample'"),
        ("policy.kind", "gaussian", "a policy that is gaussian acts by its mean"),
        ("policy.action", [{"step": "clip", "low": 0, "high": 1}], "an action that is an index cannot be changed"),
        ("policy.observation", [{"step": "exec"}], "policy.observation.0"),
        ("policy.network.1.in_features", 10**12, "in_features"),
        ("policy.network.1.device", "cuda", "device of its policy.json: Extra inputs are not permitted"),
        ("environment.observation_space.dtype", "object", "dtype"),
        (
            "environment.action_space",
            {"space": "box", "shape": [1], "dtype": "float32", "low": 0, "high": 1},
            "discrete",
        ),
        ("environment", None, "a policy that is categorical needs a box of observations and discrete actions"),
    ],
)
def test_a_description_that_is_not_ours_is_refused_with_the_place(
    load: Load, path: str, new: object, reason: str
) -> None:
    with pytest.raises(PolicyUnusable, match=reason):
        load(changed(DESCRIPTION, path, new))


@pytest.mark.parametrize(
    ("path", "new", "reason"),
    [
        (
            "environment.action_space",
            DESCRIPTION["environment"]["action_space"],
            "needs a box of observations and a box",
        ),
        ("environment.action_space.shape", [1, 2], "an action of numbers is one row of them"),
        ("environment.action_space.dtype", "int64", "an action of numbers is one row of them"),
        ("policy.observation.0.epsilon", 0, "epsilon"),
        ("policy.observation.0.dtype", "object", "dtype"),
        ("policy.observation.0.mean", [[0, 1], [2]], "the numbers of its steps are no array"),
        ("policy.observation.0.mean", "many", "mean"),
    ],
)
def test_steps_that_are_not_ours_are_refused_with_the_place(load: Load, path: str, new: object, reason: str) -> None:
    with pytest.raises(PolicyUnusable, match=reason):
        load(changed(NUMBERS, path, new))


@pytest.mark.parametrize(
    ("path", "new", "reason"),
    [
        ("environment.action_space.shape", [3], r"gives \[2\] outputs an observation for an action of 3 numbers"),
        ("policy.observation.0.mean", [0, 1, 2], "it does not act"),
        ("policy.action.0.low", [0, 0, 0], "what follows the network fails"),
        ("policy.action.0.low", [[0, 0], [0, 0]], "what follows the network fails|its actions are of shape"),
    ],
)
def test_steps_that_do_not_fit_fail_the_probe(load: Load, path: str, new: object, reason: str) -> None:
    policy = load(changed(NUMBERS, path, new))
    with pytest.raises(PolicyUnusable, match=reason):
        policy.probe()


def test_actions_of_numbers_are_the_outputs_after_all_steps(load: Load) -> None:
    policy, tensors = load(NUMBERS), weights()
    policy.probe()
    observations = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32) * 5
    seen = np.clip((observations - [0, 1, 2, 3]) / np.sqrt(np.array([1, 4, 9, 16]) + 1e-8), -1, 1).astype(np.float32)
    hidden = np.tanh(seen @ tensors["a.weight"].numpy().T + tensors["a.bias"].numpy())
    expected = np.clip(hidden @ tensors["b.weight"].numpy().T, -0.5, [0.5, 0.25])
    assert np.allclose(policy.act(observations), expected, rtol=0, atol=1e-6)
    assert (expected == 0.25).any()


def test_an_observation_for_which_the_action_is_not_finite_is_refused(load: Load) -> None:
    description = changed(changed(NUMBERS, "policy.observation", []), "policy.action", [])
    description["policy"]["network"][2]["layer"] = "relu"
    policy = load(description, weights() | {"a.weight": torch.full((3, 4), 1e30), "b.weight": torch.full((2, 3), 1e30)})
    with pytest.raises(BadObservation, match="for which the action is not finite"):
        policy.act(np.full((1, 4), 3e38, dtype=np.float32))


def test_a_description_of_version_2_acts_as_it_did(load: Load) -> None:
    older = changed(DESCRIPTION, "schema_version", 2)
    del older["policy"]["act"]
    observations = np.random.default_rng(1).standard_normal((6, 4), dtype=np.float32)
    assert load(older).act(observations) == load().act(observations)
    for path, new in (("policy.observation", []), ("policy.kind", "gaussian")):
        with pytest.raises(PolicyUnusable, match="not one that version 2 can describe"):
            load(changed(older, path, new))


def test_a_graph_that_was_not_deployed_with_its_description_is_refused(load: Load) -> None:
    graph = {
        "kind": "graph",
        "act": "output",
        "module": "agent",
        "dtype": "float32",
        "takes_batches": True,
        "torch": "2",
    }
    description = {**changed(DESCRIPTION, "policy", graph), "schema_version": 4}
    with pytest.raises(PolicyUnusable, match=r"speaks of a graph, and no policy\.pt2 was deployed with it"):
        load(description)
    with pytest.raises(PolicyUnusable, match="there were no graphs before version 4"):
        load({**description, "schema_version": 3})


def test_where_no_policy_was_exported_the_reason_is_told(load: Load) -> None:
    description = changed(DESCRIPTION, "policy", None) | {"missing": "the script holds no torch module"}
    with pytest.raises(PolicyUnusable, match="no policy was exported: the script holds no torch module"):
        load(description)


def test_a_pickle_in_the_place_of_the_weights_never_runs(load: Load, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for content in (pickle.dumps(Bomb(mark)), pickle.dumps({"a.weight": Bomb(mark)})):
        with pytest.raises(PolicyUnusable, match="is no safetensors file"):
            load(tensors=content)
    torch.save({"a.weight": Bomb(mark)}, tmp_path / "saved.pt")
    with pytest.raises(PolicyUnusable, match="is no safetensors file"):
        load(tensors=(tmp_path / "saved.pt").read_bytes())
    assert not mark.exists()


def test_a_description_that_is_no_json_is_refused(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    files = read_checkpoint(make_checkpoint("just text"))  # type: ignore[arg-type]
    files.write(tmp_path / "1")
    assert json.loads(files.description) == "just text"
    with pytest.raises(PolicyUnusable, match=r"the file of its policy\.json"):
        Policy.load(tmp_path / "1", digest=files.digest())
