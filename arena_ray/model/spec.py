"""The experiment file: what a user writes to have a script trained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.yaml_lines import LocatedDocument, load_located

Scalar = bool | int | float | str | None
FlagValue = Scalar | list[Scalar]
FlagName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Strict(BaseModel):
    """A value that never changes and has no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Resources(Strict):
    """What one run reserves on its node."""

    cpu: float = Field(default=1.0, gt=0, description="Logical CPUs; fractions share a core.")
    gpu: float = Field(default=0.0, ge=0, description="GPUs; below 1 a share of one, above 1 whole ones.")
    memory_gib: float = Field(default=0.0, ge=0, description="Memory reserved, in GiB; 0 reserves none.")

    def __str__(self) -> str:
        parts = [f"cpu {self.cpu:g}", f"gpu {self.gpu:g}"]
        return ", ".join(parts + ([f"memory {self.memory_gib:g} GiB"] if self.memory_gib else []))


class CheckpointPolicy(Strict):
    """When checkpoints are taken and which are kept."""

    every_s: float = Field(default=30.0, gt=0, description="Seconds between two snapshots.")
    keep_best: int = Field(default=1, ge=0, description="Checkpoints kept for their episodic_return.")
    keep_latest: int = Field(default=2, ge=1, description="Checkpoints kept for being the newest.")
    keep_every: int = Field(default=0, ge=0, description="The first checkpoint of each so many steps is kept; 0: none.")
    replay_buffer: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Kept, what changed of large ones; kept, all of it each time; left out.",
    )


class PluginCall(Strict):
    """A plugin. ``settings`` are checked against the plugin's own schema."""

    name: Name
    settings: dict[str, Any] = Field(default_factory=dict)


class Deployment(Strict):
    """The policy as which a checkpoint is to answer once the training has completed."""

    name: Name
    select: Literal["best", "latest"] = Field(
        default="best", description="The checkpoint with the highest episodic_return, or the newest."
    )


_NOT_OF_REVISIONS = {"experiment", "seed", "project", "plugin", "run_plugins", "revision_plugins", "deploy"}


class ExperimentSpec(Strict):
    """One experiment file, checked. ``hyperparameters`` are tuned and ``flags`` are not; the script gets both."""

    experiment: Name
    runner: Name
    script: str = Field(min_length=1)
    env_id: str = Field(min_length=1)
    hyperparameters: dict[FlagName, FlagValue] = Field(default_factory=dict)
    flags: dict[FlagName, FlagValue] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = Field(default=1, ge=0)
    resources: Resources = Resources()
    checkpoint: CheckpointPolicy = CheckpointPolicy()
    plugin: PluginCall | None = None
    run_plugins: tuple[PluginCall, ...] = ()
    revision_plugins: tuple[PluginCall, ...] = ()
    deploy: Deployment | None = None
    project: Name | None = None

    def digest(self) -> str:
        """Return the sha256 of what makes a revision: everything here but seed, name, project, plugins and deploy."""
        content = self.model_dump(mode="json", exclude=_NOT_OF_REVISIONS)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_name(name: str, *, kind: str = "a policy") -> None:
    """Check *name* as that of *kind*.

    Raises:
        SpecError: It has other characters than a file name and a URL can take.
    """
    try:
        Deployment(name=name)
    except ValidationError as exc:
        raise SpecError(
            f"{name!r} is no name for {kind}: letters, digits and . _ - are allowed, 80 at most, the first one a "
            "letter or digit"
        ) from exc


def _message(error: dict[str, Any], keys: set[str]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{where!r} is not a key here; {nearest(str(error['loc'][-1]), keys)}"
    if error["type"] == "missing":
        return f"{where!r} is missing"
    if error["type"] == "model_type":
        return f"{where!r} is a section of keys, such as {where}.{min(keys, default='key')}: … (got {error['input']!r})"
    return f"{where!r}: {error['msg'][0].lower()}{error['msg'][1:]} (got {error['input']!r})"


def _known_keys(path: tuple[Any, ...]) -> set[str]:
    """Return the keys of the section at *path*."""
    model: type[BaseModel] = ExperimentSpec
    for part in (part for part in path if not isinstance(part, int)):  # the items of a list have the same keys
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        sections = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]
        model = next((one for one in sections if issubclass(one, BaseModel)), Strict)
    return set(model.model_fields)


def parse_spec(document: LocatedDocument) -> ExperimentSpec:
    """Check *document* as an experiment file.

    Raises:
        SpecError: One line for each mistake: file, line, key, and the nearest known key.
    """
    try:
        return ExperimentSpec.model_validate(document.data)
    except ValidationError as exc:
        lines, seen = [], set()
        for error in exc.errors():
            loc = tuple(part for part in error["loc"] if document.has(part))
            if error["type"] in ("extra_forbidden", "missing"):
                loc = tuple(error["loc"])
            if loc in seen:  # a union reports each of its members
                continue
            seen.add(loc)
            keys = _known_keys(loc if error["type"] == "model_type" else loc[:-1])
            lines.append(f"{document.place(error['loc'])}: {_message({**error, 'loc': loc}, keys)}")
        raise SpecError("\n".join(lines)) from exc


def load_spec(path: Path) -> ExperimentSpec:
    """Read and check the experiment file at *path*.

    Raises:
        SpecError: The file is missing, is not YAML, or says something that cannot be run.
    """
    return parse_spec(load_located(path))
