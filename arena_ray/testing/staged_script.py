"""The script of a stage's runs: it is never run, but what a plugin gives it is checked against its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arena_ray.model.spec import ExperimentSpec, FlagValue
from arena_ray.runner.arguments import check_flags, read_arguments
from arena_ray.runner.bundle import Bundle
from arena_ray.runner.protocol import Capabilities, ScriptArgument, ScriptReport

PPO: Mapping[str, FlagValue] = {
    "total_timesteps": 500_000,
    "learning_rate": 2.5e-4,
    "num_envs": 4,
    "num_steps": 128,
    "anneal_lr": True,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "num_minibatches": 4,
    "update_epochs": 4,
    "norm_adv": True,
    "clip_coef": 0.2,
    "clip_vloss": True,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
"""Flags of a script, and their defaults, where a test names no others: those of PPO that are tuned."""


@dataclass(frozen=True)
class StagedScript:
    """A script; also its runner, and where its files are kept."""

    arguments: Sequence[ScriptArgument]
    has_config: bool = False

    @classmethod
    def declared(cls, script: Path | Mapping[str, FlagValue], *, has_config: bool = False) -> StagedScript:
        """Return a script with these flags: those that a file declares, or these with their defaults.

        Raises:
            SpecError: The file is not Python.
        """
        if isinstance(script, Path):
            return cls(read_arguments(script.read_text(encoding="utf-8"), path=str(script)), has_config)
        return cls([ScriptArgument(name, type(value).__name__, value) for name, value in script.items()], has_config)

    @property
    def capabilities(self) -> Capabilities:
        """Whether it takes a nested configuration."""
        return Capabilities(has_config=self.has_config)

    def inspect(self, source: str, *, path: str) -> ScriptReport:
        """Return its flags."""
        return ScriptReport(main_loop=None, arguments=tuple(self.arguments))

    def load(self, digest: str) -> Bundle:
        """Return its files."""
        return Bundle(entry="script.py", files={"script.py": ""})

    def check(self, spec: ExperimentSpec) -> dict[str, FlagValue]:
        """Return all that it is given by *spec*.

        Raises:
            SpecError: It does not take that.
        """
        return check_flags(self.arguments, script=spec.script, hyperparameters=spec.hyperparameters, flags=spec.flags)

    def values(self, given: Mapping[str, FlagValue]) -> dict[str, FlagValue]:
        """Return all its flags: as *given*, or else their defaults."""
        return {each.name: each.default for each in self.arguments} | dict(given)
