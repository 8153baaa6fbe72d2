"""A script in CORL's form: what is set live reaches configuration, trainer and optimizers; a donor's state is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness_kit import Trainer
from holding import SCRIPTS
from unit.scheduling.test_restart import order

from arena_ray.runner.inspection import inspect_script
from arena_ray.runner.tuning import live_set
from arena_ray.scheduling.restart import Restart, fixed_changes

SCRIPT = SCRIPTS / "offline.py"
REPORT = inspect_script(SCRIPT.read_text(), path=str(SCRIPT))


def logged(trainer: Trainer, step: int) -> dict[str, Any]:
    return {tag: round(value, 6) for at, tag, value in trainer.rows() if at == step and tag != "critic_loss"}


def weights(checkpoint: Path) -> str:
    return hashlib.sha256((checkpoint / "policy.safetensors").read_bytes()).hexdigest()


VALUES = {"discount": 0.5, "tau": 0.25, "critic_lr": 0.125, "batch_size": 4, "log_every": 2}


def test_it_takes_over_a_donor_and_what_is_set_reaches_configuration_trainer_and_optimizers(
    train: Callable[..., Trainer], tmp_path: Path
) -> None:
    assert [one.name for one in REPORT.arguments if one.name in VALUES and one.fixed_line is not None] == []
    changes = live_set(REPORT, VALUES)
    assert changes["attributes"]["trainer"] == {"discount": 0.5, "tau": 0.25}
    donor, clone = (train(SCRIPT.read_text(), "--seed", seed, name=f"offline_{seed}.py") for seed in "12")
    for trainer in (donor, clone):
        trainer.wait_for("boundary", held=True)
    donor.hold_at(20)
    donor.snapshot(tmp_path / "donor")
    donor.hold_at(21)
    clone.hold_at(3)

    clone.send("load", path=str(tmp_path / "donor"), generation=1)
    clone.wait_for("loaded")
    clone.snapshot(tmp_path / "clone")
    assert weights(tmp_path / "clone") == weights(tmp_path / "donor")
    clone.send("set", **changes)
    clone.wait_for("set_done")
    clone.hold_at(6)

    before, after = logged(clone, 2), logged(clone, 3)
    assert before.items() >= {"discount": 0.99, "tau": 0.005, "critic_lr": 0.003, "size": 16}.items()
    assert after.items() >= {"discount": 0.5, "tau": 0.25, "critic_lr": 0.125, "size": 4}.items()
    assert logged(clone, 4) == {}  # it logs every second update now
    # the schedule goes on from the donor's place
    assert after["actor_lr"] == logged(donor, 20)["actor_lr"] != before["actor_lr"]


def test_what_is_fixed_is_announced_as_a_start_anew_with_a_warm_resume() -> None:
    values = {"hidden_dim": 32, "actor_lr": 0.1, "discount": 0.5}
    assert live_set(REPORT, values)["groups"] == {}
    changes = fixed_changes(REPORT, values, flags={})
    why = {one.name: f"line {one.fixed_line} {one.fixed_why}" for one in REPORT.arguments if one.name in changes}
    line = SCRIPT.read_text().splitlines().index('        "actor_optimizer": actor_optimizer,') + 1
    assert why["actor_lr"] == f"line {line} gives actor_optimizer, which is built of it, to Trainer"
    note = Restart(order(**values), changes).note
    assert "starts anew with hidden_dim 8 → 32, actor_lr 0.003 → 0.1: this cannot be changed" in note
    assert note.endswith("resume is warm")
