"""The runner for scripts in CleanRL's form."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

from arena_ray.model.events import EpisodeSummary, TrainingStep
from arena_ray.model.spec import FlagValue
from arena_ray.runner import Capabilities, Recipe, ScriptReport, build_flags, inspect_script

_SCRIPTS = Path(__file__).parent / "scripts"


class CleanRLRunner:
    """Describes single-file scripts that take their flags by tyro and log to TensorBoard under CleanRL's tags."""

    name = "cleanrl"
    description = "single-file scripts in CleanRL's form: PPO, DQN, C51, SAC, TD3 and your own"
    # "exact" is shown script by script; a user's own script need not be.
    capabilities = Capabilities(resume="warm", is_deterministic=True)
    timing_tags = frozenset({"charts/SPS"})
    recipe = Recipe(
        repository="https://github.com/vwxyzjn/cleanrl",
        scripts="cleanrl",
        python="3.11",
        # torch alone and first: asked for by another package, pip would take a build with CUDA, several GB of it
        packages=(("torch==2.13.0",), ("gymnasium==0.29.1", "tyro==1.0.17", "tensorboard==2.21.0")),
        trial=("dqn", "--total-timesteps", "300", "--no-cuda"),
        trial_sign="episodic_return=",
    )

    def scripts(self) -> Mapping[str, Path]:
        """Return the scripts in ``scripts/`` by their file names without ``.py``."""
        return {path.stem: path for path in sorted(_SCRIPTS.glob("*.py"))}

    def interpreter(self) -> Path:
        """Return the interpreter of arena_ray, whose dependencies include the scripts'."""
        return Path(sys.executable)

    def inspect(self, source: str, *, path: str) -> ScriptReport:
        """Return what the source tells: main loop, flags, CUDA, environments of its own."""
        return inspect_script(source, path=path)

    def command_flags(
        self, report: ScriptReport, flags: Mapping[str, FlagValue], *, env_id: str, seed: int
    ) -> list[str]:
        """Return the flags as tyro takes them: ``--learning-rate 0.001 --no-anneal-lr``."""
        return build_flags(report.arguments, flags, env_id=env_id, seed=seed)

    def episodes(self, step: TrainingStep) -> EpisodeSummary | None:
        """Return the episode whose return is among the scalars; its length is NaN where the script logs none."""
        if "charts/episodic_return" not in step.scalars:
            return None
        return EpisodeSummary(
            boundary=step.boundary,
            global_step=step.global_step,
            episodic_return=step.scalars["charts/episodic_return"],
            episodic_length=step.scalars.get("charts/episodic_length", math.nan),
            wall_time=step.wall_time,
        )
