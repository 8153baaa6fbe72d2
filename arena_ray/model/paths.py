"""Every file name of a workspace, in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


def safe_name(text: str) -> str:
    """Return *text* as one path component: letters, digits, ``._=-``; never empty, never hidden, never ``..``."""
    return re.sub(r"[^A-Za-z0-9._=-]", "-", text).lstrip(".-") or "unnamed"


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint directory. The harness writes them, from its own table of the same names."""

    root: Path

    @property
    def policy(self) -> Path:
        """Weights of every module, safetensors."""
        return self.root / "policy.safetensors"

    @property
    def policy_description(self) -> Path:
        """What the weights belong to, JSON."""
        return self.root / "policy.json"

    @property
    def resume(self) -> Path:
        """The full state of the script; holds pickles, read only by the cluster that wrote it."""
        return self.root / "resume"

    @property
    def manifest(self) -> Path:
        """sha256 and size of each other file, JSON."""
        return self.root / "manifest.json"


@dataclass(frozen=True)
class DeployedFiles(CheckpointFiles):
    """The files of one version of a deployed policy: description and weights of a checkpoint, nothing else of it."""

    @property
    def graph(self) -> Path:
        """The policy as a graph of torch's, pt2, where its description is none of layers. No checkpoint has one."""
        return self.root / "policy.pt2"


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, under its workspace."""

    training: Path
    run_name: str

    @property
    def root(self) -> Path:
        """The run's own directory."""
        return self.training / "runs" / self.run_name

    @property
    def tensorboard(self) -> Path:
        """The one TensorBoard directory of the run, shared by its attempts."""
        return self.root / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Parent of the run's checkpoint directories."""
        return self.training / "checkpoints" / self.run_name

    @property
    def metrics(self) -> Path:
        """Archive of the run's metric events, JSON lines."""
        return self.training / "metrics" / f"{self.run_name}.jsonl"

    @property
    def log(self) -> Path:
        """Archive of what the script printed, JSON lines."""
        return self.training / "logs" / f"{self.run_name}.jsonl"

    def attempt(self, number: int) -> Path:
        """Working directory of one attempt."""
        return self.root / f"attempt-{number}"

    def output(self, number: int, stream: str) -> Path:
        """File that takes the *stream* of one attempt: ``stdout``, ``stderr``, or ``writers``."""
        return self.attempt(number) / f"{stream}.log"


@dataclass(frozen=True)
class RunnerFiles:
    """The files of one runner's own environment, which ``arena runners setup`` makes."""

    root: Path

    @property
    def environment(self) -> Path:
        """Virtual environment with what the original scripts need."""
        return self.root / "environment"

    @property
    def interpreter(self) -> Path:
        """Python of that environment."""
        return self.environment / "bin" / "python"

    @property
    def repository(self) -> Path:
        """Clone of the original scripts' repository, where it was not named by its path."""
        return self.root / "repository"

    @property
    def installation(self) -> Path:
        """What was made of all this, and from what, JSON."""
        return self.root / "installation.json"

    @property
    def log(self) -> Path:
        """What the steps of the setup printed."""
        return self.root / "setup.log"


@dataclass(frozen=True)
class Workspace:
    """A directory (``ARENA_HOME``) whose ``var/training`` holds everything that arena_ray keeps."""

    home: Path

    @property
    def training(self) -> Path:
        """Root of all that is kept."""
        return self.home / "var" / "training"

    @property
    def registry(self) -> Path:
        """The embedded registry, SQLite."""
        return self.training / "registry.sqlite3"

    @property
    def registry_url(self) -> str:
        """SQLAlchemy URL of the embedded registry."""
        return f"sqlite:///{self.registry}"

    @property
    def runs_export(self) -> Path:
        """Export of the checkpoint registry, JSON lines."""
        return self.training / "runs.jsonl"

    @property
    def gateway(self) -> Path:
        """Where the gateway of this workspace listens, and its token; mode 0600."""
        return self.training / "gateway.json"

    @property
    def cluster(self) -> Path:
        """Which process keeps the embedded cluster of this workspace."""
        return self.training / "cluster.json"

    @property
    def cluster_lock(self) -> Path:
        """Locked by that process for as long as it lives."""
        return self.training / "cluster.lock"

    @property
    def cluster_users(self) -> Path:
        """Locked, shared, by each command that is at work on the cluster: whoever started it waits for the others."""
        return self.training / "cluster.users"

    @property
    def cluster_log(self) -> Path:
        """What the embedded cluster's process printed."""
        return self.training / "cluster.log"

    @property
    def bundles(self) -> Path:
        """Scripts as they were when their revision was made, by digest."""
        return self.training / "bundles"

    @property
    def policies(self) -> Path:
        """Deployed policies: a directory each, in it one for each version."""
        return self.training / "policies"

    @property
    def probes(self) -> Path:
        """What probes have found of scripts, a JSON file each."""
        return self.training / "probes"

    @property
    def reserve(self) -> Path:
        """Space set aside for the day when the disk is full."""
        return self.training / "reserve"

    @property
    def plugins(self) -> Path:
        """Where plugins are dropped in: ``*_plugin.py``."""
        return self.home / "plugins"

    def reports(self, experiment: str) -> Path:
        """Reports on an experiment, with what they show."""
        return self.training / "reports" / safe_name(experiment)

    @property
    def executions(self) -> Path:
        """What the functions of plugins printed, one file an execution."""
        return self.training / "executions"

    @property
    def runners(self) -> Path:
        """Runners' own environments, a directory each."""
        return self.training / "runners"

    @property
    def tune(self) -> Path:
        """Ray Tune's own book-keeping; nothing of ours depends on it."""
        return self.training / "tune"

    @property
    def settings(self) -> Path:
        """The workspace's settings file."""
        return self.home / "arena.toml"

    def policy(self, name: str, version: int) -> DeployedFiles:
        """Return the files of one version of a deployed policy."""
        return DeployedFiles(self.policies / safe_name(name) / str(version))

    def runner(self, name: str) -> RunnerFiles:
        """Return the files of the environment of the runner of this name."""
        return RunnerFiles(self.runners / safe_name(name))

    def run(self, run_name: str) -> RunFiles:
        """Return the files of the run of this name."""
        return RunFiles(self.training, safe_name(run_name))
