"""Have the policy of a checkpoint recorded as a graph, by a process that restores it and is thrown away."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena_ray.runner.trial import Trial, TrialFailed
from arena_ray.runner.wire import Message

EXPORT_TIMEOUT_S = 150.0


class NoGraph(Exception):
    """No graph acts as the policy does, or none could be made; the message says why."""


@dataclass(frozen=True)
class ExportedGraph:
    """A policy as a graph: the keys ``environment`` and ``policy`` of its description, and the graph's file."""

    environment: dict[str, Any]
    policy: dict[str, Any]
    content: bytes


def export_graph(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path, checkpoint: Path, timeout_s: float
) -> ExportedGraph:
    """Return the policy of *checkpoint*, whose digests the caller has checked: its pickles are read.

    Args:
        command: Interpreter, script and flags of its run.
        env: Environment of the process: see :func:`arena_ray.runner.probe.probe_environment`.
        folder: Empty; takes the graph and what the script writes.
        checkpoint: Its directory.
        timeout_s: Seconds for all of it.

    Raises:
        NoGraph: There is none.
        OSError: The process could not be started, or the graph not be read.
    """
    trial = Trial(command, env=env, folder=folder / "process", deadline=time.monotonic() + timeout_s)
    path = folder / "graph.pt2"
    try:
        trial.held()
        trial.send("restore", path=str(checkpoint))
        trial.hear("restored")
        answer = ask_for_graph(trial, path)
    except TrialFailed as exc:
        raise NoGraph(f"the process that was to make it failed: {exc}") from exc
    finally:
        trial.close()
    lost = [one.name for one in trial.skipped]
    if lost and any(step["step"] == "normalize" for step in answer["policy"]["observation"]):
        raise NoGraph(f"the checkpoint may lack the statistics of observations: it has left out {', '.join(lost)}")
    return ExportedGraph(answer["environment"], answer["policy"], path.read_bytes())


def ask_for_graph(trial: Trial, path: Path) -> Message:
    """Have *trial*, which holds, write the graph of its policy to *path*, and return what it says of it.

    Raises:
        NoGraph: There is none.
        TrialFailed: The process failed.
    """
    trial.send("export", path=str(path))
    answer = trial.hear("exported")
    if answer["reason"] is not None:
        raise NoGraph(answer["reason"])
    return answer


def without_graph(missing: str | None, why: Exception) -> str:
    """Return why there is neither a description of a policy, which is *missing*, nor a graph."""
    return f"{missing}; nor can a graph be made of it: {why}"
