"""What a probe gives a script, and its processes."""

from __future__ import annotations

from arena_ray.runner.probe import probe_environment, shortened
from arena_ray.runner.protocol import ScriptArgument


def test_flags_that_would_make_a_probe_long_or_large_are_lowered_and_no_others() -> None:
    arguments = (
        ScriptArgument("buffer_size", "int"),  # computed: int(1e6)
        ScriptArgument("learning_starts", "int", 5000.0),
        ScriptArgument("num_eval_episodes", "int", 1),
        ScriptArgument("total_timesteps", "int", 500_000),
    )
    assert shortened(arguments) == {"buffer_size": 4096, "learning_starts": 48}
    assert shortened((ScriptArgument("buffer_size", "int", is_required=True),)) == {}
    assert shortened((ScriptArgument("buffer_size", "int", 10**6, overwritten_line=3),)) == {}


def test_its_processes_have_one_thread_and_no_gpu_that_is_not_needed() -> None:
    env = probe_environment({"RAY_ADDRESS": "x", "OMP_NUM_THREADS": "8", "PATH": "/bin"})
    assert env == {
        "PATH": "/bin",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert "CUDA_VISIBLE_DEVICES" not in probe_environment({}, needs_cuda=True)
