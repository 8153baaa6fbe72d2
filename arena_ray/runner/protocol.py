"""What a runner is: it describes a family of training scripts and never starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from arena_ray.model.events import EpisodeSummary, TrainingStep
from arena_ray.model.spec import FlagValue


@dataclass(frozen=True)
class ScriptArgument:
    """One flag of a script, as its source declares it."""

    name: str
    type: str
    """Annotation, as text."""
    default: FlagValue = None
    """The default where the source writes it out; None where it is computed."""
    help: str = ""
    is_required: bool = False
    overwritten_line: int | None = None
    """Line at which the script replaces whatever was given; the flag has no effect then."""
    computed_from: tuple[str, ...] = ()
    """Names of the flags from which it is computed there."""
    fixed_line: int | None = None
    """Line at which its value is used up before the main loop: it cannot be changed while the script runs."""
    fixed_why: str = ""
    """What that line does, as the end of a sentence that begins with it."""
    group_keys: tuple[tuple[str, str], ...] = ()
    """Optimizers, by variable, and the key of their parameter groups that took its value: to be set besides."""
    group_conditions: tuple[tuple[str, str, bool], ...] = ()
    """Optimizers that are only built where a flag has this truth: variable, flag, truth."""
    kept_as: tuple[tuple[str, str], ...] = ()
    """Objects of the script's own, by variable, and the attribute that keeps its value: to be set besides."""

    @property
    def is_switch(self) -> bool:
        """Whether the flag is given as ``--name`` or ``--no-name``, without a value."""
        return self.type == "bool" and not self.is_required


@dataclass(frozen=True)
class MainLoop:
    """The loop at whose passes the script can be held and resumed. Lines count from 1."""

    line: int
    end_line: int
    scope: str
    kind: str


@dataclass(frozen=True)
class ScriptReport:
    """What can be said of a script without running it."""

    main_loop: MainLoop | None
    arguments: tuple[ScriptArgument, ...] = ()
    requires_cuda: bool = False
    registers_environments: bool = False
    imports: tuple[str, ...] = ()
    """Top-level names of the modules that it imports."""
    holders: tuple[str, ...] = ()
    """Variables under which the main loop finds the object with the flags."""


@dataclass(frozen=True)
class Capabilities:
    """What the scripts of a runner can be relied on for. The defaults promise nothing."""

    resume: Literal["none", "warm", "exact"] = "none"
    """What to expect of a script that nobody has probed; ``exact`` is believed of none before (see capability.py)."""
    has_config: bool = False
    """Whether its scripts take the nested ``config`` of an experiment file."""
    is_deterministic: bool = False
    """Same seed, CPU, one thread: same numbers."""


@runtime_checkable
class Runner(Protocol):
    """The door for runners. The entry point in group ``arena_ray.runners`` bears the runner's name."""

    @property
    def name(self) -> str:
        """Name in experiment files."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What holds for every script of this runner."""
        ...

    @property
    def timing_tags(self) -> frozenset[str]:
        """Tags whose values tell of the clock, and so differ between two equal trainings."""
        ...

    def scripts(self) -> Mapping[str, Path]:
        """Return the shipped scripts by name."""
        ...

    def interpreter(self) -> Path:
        """Return the Python that has what the scripts need."""
        ...

    def inspect(self, source: str, *, path: str) -> ScriptReport:
        """Return what can be said of *source* without running it; *path* names it in errors.

        Raises:
            SpecError: It cannot be read as a script.
        """
        ...

    def command_flags(
        self, report: ScriptReport, flags: Mapping[str, FlagValue], *, env_id: str, seed: int
    ) -> list[str]:
        """Return what follows the script on its command line."""
        ...

    def episodes(self, step: TrainingStep) -> EpisodeSummary | None:
        """Return the finished episode that *step* tells of, if it tells of one."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How the environment is made in which the original scripts of a family run as they are."""

    repository: str
    """Where git can clone them from."""
    scripts: str
    """Directory in the repository that holds them; what they import besides lies in the repository itself."""
    python: str
    """Version of Python, such as 3.11."""
    packages: tuple[tuple[str, ...], ...]
    """What is installed, in so many steps, each by one call of pip."""
    trial: tuple[str, ...]
    """A script by name, and flags with which it ends within a second or so."""
    trial_sign: str
    """What it prints if all is well."""


@runtime_checkable
class Installable(Protocol):
    """A runner whose family has original scripts that need an environment of their own."""

    @property
    def recipe(self) -> Recipe:
        """How that environment is made."""
        ...
