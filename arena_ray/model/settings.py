"""Settings and where each came from: defaults < ``arena.toml`` < ``ARENA_*`` < flags."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from arena_ray.model.errors import SettingsError, nearest
from arena_ray.model.paths import Workspace
from arena_ray.model.spec import Strict


class Settings(Strict):
    """Everything that can be set, with its default."""

    ray_address: str = Field(
        default="", description="Ray cluster to use; empty starts an embedded one on this machine."
    )
    ray_num_cpus: int = Field(default=0, ge=0, description="CPUs an embedded cluster offers; 0 takes the machine's.")
    ray_num_gpus: int = Field(default=-1, ge=-1, description="GPUs an embedded cluster offers; -1 takes the machine's.")
    registry_url: str = Field(default="", description="PostgreSQL registry, postgresql://…; empty keeps it in SQLite.")
    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(default=0, ge=0, le=65535, description="Port of the gateway; 0 takes a free one.")
    serve_host: str = Field(
        default="127.0.0.1",
        description="Address deployed policies listen on; beyond loopback they ask for the gateway's token.",
    )
    serve_port: int = Field(default=0, ge=0, le=65535, description="Port of deployed policies; 0 takes a free one.")
    max_lost_attempts: int = Field(
        default=5, ge=1, description="Attempts lost in a row without progress before a run fails."
    )
    omp_num_threads: int = Field(
        default=0, ge=0, description="Threads of a training process; 0 takes its reserved CPUs, at least 1."
    )
    bind_cores: bool = Field(
        default=False,
        description="Whether a training that reserves whole CPUs is bound to as many cores, which no other one gets.",
    )
    warm_pool: bool = Field(
        default=True, description="Whether trainings are forked from processes that have imported torch and the like."
    )
    local_plugins: bool = Field(
        default=True, description="Whether files in the workspace's `plugins` and in `plugin_path` are plugins."
    )
    plugin_path: str = Field(default="", description="More folders with plugin files, separated by colons.")
    summary_steps: int = Field(
        default=10_000,
        ge=1,
        description="Steps of a summary period: a line in the run's log, and what stats writers get.",
    )
    start_timeout_s: float = Field(
        default=120.0, gt=0, description="Seconds a cluster or a training process may take to start."
    )
    end_timeout_s: float = Field(
        default=600.0, gt=0, description="Seconds a script may be silent after its main loop before it is ended."
    )

    def threads(self, cpu: float) -> int:
        """Return how many threads a training process has that reserves *cpu* CPUs."""
        return self.omp_num_threads or max(1, int(cpu))


@dataclass(frozen=True)
class SettingSource:
    """One setting's value and where it came from."""

    name: str
    value: Any
    source: str
    description: str


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}") from exc


def _from_env(env: Mapping[str, str]) -> dict[str, str]:
    known = {f"ARENA_{name.upper()}": name for name in Settings.model_fields}
    values = {known[key]: value for key, value in env.items() if key in known}
    in_cluster = env.get("RAY_ADDRESS", "")
    if in_cluster and "://" not in in_cluster:  # Ray sets it for the jobs of a cluster; a URL is the dashboard's
        values.setdefault("ray_address", in_cluster)
    return values


def load_settings(
    workspace: Workspace,
    env: Mapping[str, str] | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
) -> tuple[Settings, list[SettingSource]]:
    """Return the settings in force and, for each, its source.

    Args:
        workspace: Where ``arena.toml`` lies.
        env: The environment; ``os.environ`` by default.
        flags: What the command line gave; ``None`` values count as not given.

    Raises:
        SettingsError: A name is unknown or a value is out of range; says which and where.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = [
        (str(workspace.settings), _from_toml(workspace.settings)),
        ("environment", _from_env(os.environ if env is None else env)),
        ("command line", {key: value for key, value in (flags or {}).items() if value is not None}),
    ]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for name, value in layer.items():
            if name not in Settings.model_fields:
                raise SettingsError(f"{source}: no setting {name!r}; {nearest(name, Settings.model_fields)}")
            values[name], sources[name] = value, source
    try:
        settings = Settings.model_validate(values)
    except ValidationError as exc:
        error = exc.errors()[0]
        name = str(error["loc"][0])
        raise SettingsError(f"{sources[name]}: {name}: {error['msg']} (got {error['input']!r})") from exc
    return settings, [
        SettingSource(name, getattr(settings, name), sources.get(name, "default"), info.description or "")
        for name, info in Settings.model_fields.items()
    ]


def current_workspace(env: Mapping[str, str] | None = None) -> Workspace:
    """Return the workspace of this process: ``ARENA_HOME``, else the working directory."""
    home = (os.environ if env is None else env).get("ARENA_HOME")
    return Workspace(Path(home or Path.cwd()).expanduser().resolve())
