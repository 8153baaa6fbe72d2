"""What a run takes over of another's checkpoint, and that it takes over all of it or nothing."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers.utils import RunningMeanStd
from resume_state import differences
from torch import nn

from arena_ray.harness import capture, loading
from arena_ray.harness.live import LiveMap
from arena_ray.harness.pickling import CheckpointMismatch
from arena_ray.harness.snapshot import prepare
from arena_ray.harness.variables import Variables


class Buffer:
    """Notes when it is unpickled."""

    unpickled = 0

    def __reduce__(self) -> Any:
        return _unpickle, ()


def _unpickle() -> Buffer:
    Buffer.unpickled += 1
    return Buffer()


class Learner:
    def __init__(self, seed: int, *, width: int = 3):
        torch.manual_seed(seed)
        self.buffer = Buffer()
        self.updates = seed
        self.net = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 1))
        self.net.register_buffer("scratch", torch.full((2,), float(seed)), persistent=False)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=seed / 100)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.alpha_optimizers = [torch.optim.SGD([self.log_alpha], lr=0.1, momentum=0.9)]
        for _ in range(seed):
            self.train()

    def train(self) -> None:
        loss = self.net(torch.randn(4, 2)).pow(2).mean() + (self.log_alpha.exp() - 3).pow(2).sum()
        for optimizer in (self.optimizer, *self.alpha_optimizers):
            optimizer.zero_grad()
        loss.backward()
        for optimizer in (self.optimizer, *self.alpha_optimizers):
            optimizer.step()
        self.schedule.step()


def names(seed: int, **more: Any) -> dict[str, Any]:
    """Return the variables of a script that has trained for a while."""
    learner = Learner(seed)
    by_hand = torch.full((2,), float(seed), requires_grad=True)
    return {"learner": learner, "net": learner.net, "by_hand": by_hand, "replay": Buffer(), "steps": seed * 10, **more}


def seen(variables: dict[str, Any]) -> tuple[Variables, LiveMap]:
    frame: Any = SimpleNamespace(f_globals=variables, f_locals={})
    found = Variables(frame, None)
    return found, LiveMap(found, script_dir=Path(__file__).parent, fixed=[])


def write(path: Path, variables: dict[str, Any]) -> str:
    """Write a checkpoint and return the digest of its weights."""
    meta = {"step": 0, "boundary": 0}
    taken = prepare(capture.take(*seen(variables)), meta, path=path, script=Path("script.py"))
    return str(taken.write(taken.fill)["policy_digest"])


def load(path: Path, variables: dict[str, Any]) -> None:
    loading.load(path, *seen(variables))


def refusal(path: Path, variables: dict[str, Any], tmp_path: Path) -> str:
    """Return why the checkpoint is refused; nothing at all may have changed then."""
    before = write(tmp_path / "before", variables)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what damaged files raise
        load(path, variables)
    assert write(tmp_path / "after", variables) == before
    assert differences(tmp_path / "before", tmp_path / "after") == []
    return str(caught.value)


@pytest.mark.parametrize("trained", [0, 7], ids=["untrained", "trained"])
def test_clone_has_what_the_donor_has_learned_and_all_else_of_its_own(tmp_path, trained):
    donor, clone = names(3), names(trained)
    donor["net"][1].eval()
    donor["net"][0].bias.requires_grad_(False)
    held = [clone["net"], *clone["net"].parameters(), clone["learner"].log_alpha, clone["by_hand"]]
    digest = write(tmp_path / "donor", donor)
    write(tmp_path / "before", clone)
    generator = torch.get_rng_state()
    load(tmp_path / "donor", clone)
    assert torch.get_rng_state().equal(generator)
    assert write(tmp_path / "after", clone) == digest
    assert set(differences(tmp_path / "donor", tmp_path / "after")) == {"own/learner/updates", "global//steps"}
    changed = differences(tmp_path / "before", tmp_path / "after")
    leaves = {"own/learner/log_alpha", "global//by_hand"}
    assert {slot for slot in changed if not slot.startswith("state/")} == leaves
    assert clone["learner"].optimizer.param_groups[0]["lr"] == donor["learner"].optimizer.param_groups[0]["lr"]
    again = [clone["net"], *clone["net"].parameters(), clone["learner"].log_alpha, clone["by_hand"]]
    assert all(one is other for one, other in zip(held, again, strict=True))
    assert clone["learner"].optimizer.param_groups[0]["params"][0] is clone["net"][0].weight
    assert clone["learner"].log_alpha.equal(donor["learner"].log_alpha)
    assert clone["by_hand"].tolist() == [3.0, 3.0]


def test_clone_learns_on_as_the_donor_would(tmp_path):
    donor, clone = names(3), names(5)
    write(tmp_path / "donor", donor)
    for _ in range(2):  # a second time changes nothing
        load(tmp_path / "donor", clone)
    for learner in (donor["learner"], clone["learner"]):
        torch.manual_seed(9)
        learner.train()
    assert write(tmp_path / "clone", clone) == write(tmp_path / "donor", donor)
    assert "state/learner.optimizer/" not in differences(tmp_path / "donor", tmp_path / "clone")


def test_replay_buffer_is_not_unpickled(tmp_path):
    write(tmp_path / "donor", names(3))
    before = Buffer.unpickled
    load(tmp_path / "donor", names(5))
    assert Buffer.unpickled == before


def test_weights_of_a_frozen_network_go_along_with_their_freezing(tmp_path):
    donor = names(3)
    donor["net"].requires_grad_(False)
    clone = names(5)
    digest = write(tmp_path / "donor", donor)
    load(tmp_path / "donor", clone)
    assert write(tmp_path / "clone", clone) == digest
    assert not any(parameter.requires_grad for parameter in clone["net"].parameters())


def other_shape(donor):
    donor["learner"].net = donor["net"] = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(3), nn.Linear(3, 1))


def other_dtype(donor):
    donor["net"].double()


def fewer_layers(donor):
    del donor["net"][2]


def no_module(donor):
    del donor["extra"]


def another_module(donor):
    donor["more"] = nn.Linear(1, 1)


def other_class(donor):
    donor["learner"].optimizer = torch.optim.SGD(donor["net"].parameters(), lr=0.1)


def other_groups(donor):
    first, *rest = donor["net"].parameters()
    donor["learner"].optimizer = torch.optim.Adam([{"params": [first]}, {"params": rest}])


def other_order(donor):
    donor["learner"].optimizer = torch.optim.Adam(list(donor["net"].parameters())[::-1])


def no_schedule(donor):
    del donor["learner"].schedule


def other_leaf(donor):
    learner = donor["learner"]
    learner.log_alpha = torch.zeros(2, requires_grad=True)
    learner.alpha_optimizers = [torch.optim.SGD([learner.log_alpha], lr=0.1, momentum=0.9)]


def no_leaf(donor):
    donor["learner"].log_alpha, donor["learner"].alpha_optimizers = None, []


def other_device(donor):
    state = donor["learner"].optimizer.state[donor["net"][0].weight]
    state["exp_avg"] = torch.zeros(3, 2, device="meta")


def unpicklable_state(donor):
    donor["learner"].optimizer.state["lock"] = (line for line in ())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_shape, "net.0.bias is float32[4] there and float32[3] here"),
        (other_dtype, "net.0.weight is float64[3, 2] there and float32[3, 2] here"),
        (fewer_layers, "the checkpoint has no learner.net.2.weight"),
        (no_module, "the checkpoint has no extra"),
        (another_module, "the checkpoint has a torch.nn.modules.linear.Linear at 'more', which this script has not"),
        (
            other_class,
            "the checkpoint has a torch.optim.sgd.SGD at 'learner.optimizer', which this script has not made",
        ),
        (other_groups, "the optimizer learner.optimizer steps other parameters"),
        (other_order, "the optimizer learner.optimizer steps other parameters"),
        (no_schedule, "the checkpoint has no learner.schedule"),
        (other_leaf, "learner.log_alpha is float32[2] there and float32[1] here"),
        (no_leaf, "the checkpoint has no learner.log_alpha"),
        (other_device, "exp_avg of learner.optimizer lay on meta, its tensor lies on cpu here"),
        (unpicklable_state, "the checkpoint has left out the state of learner.optimizer"),
    ],
)
def test_donor_that_does_not_fit_is_refused_untouched(tmp_path, change, reason):
    donor, clone = (names(seed, extra=nn.Linear(1, 1)) for seed in (3, 5))
    change(donor)
    write(tmp_path / "donor", donor)
    assert reason in refusal(tmp_path / "donor", clone, tmp_path)


@pytest.mark.parametrize("name", ["policy.safetensors", "resume/state.pkl", "resume/meta.json"])
def test_damaged_checkpoint_is_refused_untouched(tmp_path, name):
    write(tmp_path / "donor", names(3))
    file = tmp_path / "donor" / name
    file.write_bytes(file.read_bytes()[:100])
    assert refusal(tmp_path / "donor", names(5), tmp_path)
    file.unlink()
    assert name in refusal(tmp_path / "donor", names(5), tmp_path)


def test_what_fails_half_way_is_undone(tmp_path):
    """A schedule that raises when all the weights are in already."""

    def picky() -> Any:
        variables = names(5)
        schedule = variables["learner"].schedule
        schedule.load_state_dict = lambda state: (_ for _ in ()).throw(ValueError("not this one"))
        return variables

    write(tmp_path / "donor", names(3))
    assert refusal(tmp_path / "donor", picky(), tmp_path) == "not this one"


def test_module_that_cannot_be_written_to_leaves_all_as_it_was(tmp_path):
    donor, clone = (names(seed, mask=nn.Linear(1, 1)) for seed in (3, 5))
    for variables in (donor, clone):
        variables["mask"].register_buffer("same", torch.ones(1).expand(3))
    write(tmp_path / "donor", donor)
    assert "single memory location" in refusal(tmp_path / "donor", clone, tmp_path)


def test_script_without_networks_has_nothing_to_load(tmp_path):
    write(tmp_path / "donor", {"table": [1, 2]})
    with pytest.raises(CheckpointMismatch, match="no module, optimizer or tensor that learns"):
        load(tmp_path / "donor", {"table": [3, 4]})


def test_tensors_that_no_optimizer_steps_go_along_only_where_they_fit(tmp_path):
    donor = names(3, batch=torch.zeros(4, requires_grad=True), only_there=torch.zeros(1, requires_grad=True))
    clone = names(5, batch=torch.ones(6, requires_grad=True), only_here=torch.ones(1, requires_grad=True))
    digest = write(tmp_path / "donor", donor)
    load(tmp_path / "donor", clone)
    assert write(tmp_path / "clone", clone) == digest
    assert clone["batch"].tolist() == [1.0] * 6
    assert clone["only_here"].tolist() == [1.0]
    assert "only_there" not in clone


def test_loss_of_the_last_pass_is_no_weight(tmp_path):
    donor, clone = names(3), names(5)
    for variables in (donor, clone):
        variables["loss"] = variables["net"](torch.randn(4, 2)).mean()
    mine = clone["loss"].item()
    write(tmp_path / "donor", donor)
    load(tmp_path / "donor", clone)
    assert clone["loss"].item() == mine


def test_copies_of_a_network_stay_apart(tmp_path):
    donor, clone = (names(seed, target=copy.deepcopy(Learner(seed + 1).net)) for seed in (3, 5))
    digest = write(tmp_path / "donor", donor)
    load(tmp_path / "donor", clone)
    assert write(tmp_path / "clone", clone) == digest
    assert not clone["target"][0].weight.equal(clone["net"][0].weight)


def environments(seed: int, count: int = 2) -> gymnasium.vector.VectorEnv:
    """Return environments side by side that have seen something, each with statistics of its own."""

    def make() -> gymnasium.Env:
        return NormalizeReward(NormalizeObservation(gymnasium.make("Pendulum-v1")))

    envs = gymnasium.vector.SyncVectorEnv([make] * count)
    envs.reset(seed=seed)
    for _ in range(5 * seed):
        envs.step(np.full((count, 1), seed / 10, dtype=np.float32))
    return envs


def statistics(envs: Any) -> list[Any]:
    held = [(env.env.obs_rms, env.return_rms) for env in envs.envs]
    return [[(one.mean.tolist(), one.var.tolist(), one.count) for one in both] for both in held]


def test_what_observations_and_rewards_are_normalised_by_goes_along(tmp_path):
    donor, clone = names(3, envs=environments(3)), names(5, envs=environments(5, count=3))
    write(tmp_path / "donor", donor)
    state = clone["envs"].envs[0].unwrapped.state.copy()
    load(tmp_path / "donor", clone)
    first, second = statistics(donor["envs"])
    assert first != second
    assert statistics(clone["envs"]) == [first, second, first]
    assert clone["envs"].envs[0].unwrapped.state.tolist() == state.tolist()
    clone["envs"].step(np.zeros((3, 1), dtype=np.float32))
    counts = [[obs[2] for obs, _ in statistics(each["envs"])] for each in (donor, clone)]
    assert counts[1][:2] == [count + 1 for count in counts[0]]


def test_statistics_of_another_shape_are_refused(tmp_path):
    donor, clone = (names(seed, obs_rms=RunningMeanStd(shape=(width,))) for seed, width in ((3, 4), (5, 2)))
    write(tmp_path / "donor", donor)
    assert "obs_rms has the shape [4] there and [2] here" in refusal(tmp_path / "donor", clone, tmp_path)


def test_a_sparse_tensor_does_not_keep_a_snapshot_from_being_taken(tmp_path):
    sparse = torch.eye(3).to_sparse()
    variables = names(3, graph=sparse)
    assert not prepare(
        capture.take(*seen(variables)), {"step": 0, "boundary": 0}, path=tmp_path / "one", script=Path("script.py")
    ).has_shared_memory()
    write(tmp_path / "one", variables)
