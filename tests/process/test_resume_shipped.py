"""Each shipped script is monitored, and goes on in a new process bit for bit."""

import pytest
from resume_state import differences

from arena_runners.cleanrl import CleanRLRunner

CHARTS = {"charts/episodic_return", "charts/episodic_length", "charts/SPS"}
CRITICS = {f"losses/{name}" for name in ("qf1_values", "qf2_values", "qf1_loss", "qf2_loss", "qf_loss", "actor_loss")}
PPO = "value_loss policy_loss entropy old_approx_kl approx_kl clipfrac explained_variance"
OFF_POLICY = ["--total-timesteps", "210", "--learning-starts", "90", "--buffer-size", "150", "--batch-size", "16"]
BATCHES = ["--total-timesteps", "768", "--num-steps", "64", "--num-envs", "2", "--num-minibatches", "4"]
CASES = {
    "c51": (OFF_POLICY, 150, {"losses/loss", "losses/q_values"}),
    "ppo_continuous_action": (BATCHES, 384, {"charts/learning_rate", *(f"losses/{name}" for name in PPO.split())}),
    "sac_continuous_action": (OFF_POLICY, 150, {*CRITICS, "losses/alpha", "losses/alpha_loss"}),
    "td3_continuous_action": (OFF_POLICY, 150, CRITICS),
}


def scalars_from(trainer, boundary):
    """Return what was logged at that boundary or later, but for what tells of the clock."""
    logged = [message for message in trainer.messages if message["type"] == "step" and message["boundary"] >= boundary]
    rows = [(each["step"], tag, value) for each in logged for tag, value in each["scalars"].items()]
    return [row for row in rows if row[1] != "charts/SPS"]


# what c51 and td3 keep, dqn and sac keep too
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name[:3] in ("c51", "td3") else []) for name in CASES]
)
def test_it_is_monitored_and_resumed_exactly(train, tmp_path, name):
    flags, middle, losses = CASES[name]
    source = CleanRLRunner().scripts()[name].read_text()
    first, again = (train(source, "--no-cuda", *flags, name=f"{name}.py", tensorboard=tmp_path / at) for at in "ab")
    first.wait_for("boundary", held=True)
    first.hold_at(middle)
    saved = first.snapshot(tmp_path / "middle")
    assert saved["skipped"] == []
    assert again.restore(tmp_path / "middle")["step"] == middle
    for trainer, path in ((first, "uninterrupted"), (again, "resumed")):
        trainer.send("grant", until_step=None)
        trainer.wait_for("boundary", ended=True, held=True)
        trainer.snapshot(tmp_path / path)
    assert differences(tmp_path / "uninterrupted", tmp_path / "resumed") == []
    weights = [(tmp_path / path / "policy.safetensors").read_bytes() for path in ("uninterrupted", "resumed", "middle")]
    assert weights[0] == weights[1] != weights[2]

    assert {tag for _, tag, _ in first.rows()} == CHARTS | losses
    later = scalars_from(first, saved["boundary"])
    assert later
    assert scalars_from(again, saved["boundary"]) == later
