"""Answers to what only processes are asked that are thrown away afterwards: a probe's, and those that make a graph.

Which environments repeat their steps, in which variables two checkpoints differ, what graph acts as the policy does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from . import capture, comparison, policy_graph, repetition
from .live import LiveMap
from .policy_source import Unrecognised
from .variables import Variables
from .wire import Message

COMMANDS = ("examine", "compare", "export")


def answer(command: Message, variables: Variables, live_map: LiveMap) -> Message:
    """Return the answer to *command*; never raises.

    Such processes are started by whoever asks: ``compare`` unpickles what the probe has just had written, and
    ``export`` runs methods of the script's.
    """
    if command["type"] == "export":
        return _export(Path(str(command.get("path"))), variables, live_map)
    if command["type"] == "examine":
        return _examine(variables, live_map)
    paths = {key: str(command.get(key)) for key in ("path", "other")}
    answered: Dict[str, Any] = {"type": "compared", **paths, "differing": [], "reason": None}
    try:
        answered["differing"] = comparison.differences(Path(paths["path"]), Path(paths["other"]), variables)
    except Exception as exc:  # noqa: BLE001 - reading a pickle runs methods of any class
        answered["reason"] = f"{type(exc).__name__}: {exc}"
    return answered


def _examine(variables: Variables, live_map: LiveMap) -> Message:
    answered: Dict[str, Any] = {"type": "examined", "environments": [], "unrepeated": [], "reason": None}
    try:
        state = capture.take(variables, live_map)
        answered["environments"] = [name for name, _ in repetition.environments(state)]
        answered["unrepeated"] = repetition.unrepeated(state)
    except Exception as exc:  # noqa: BLE001 - taking a state runs methods of the script's objects
        answered["reason"] = f"{type(exc).__name__}: {exc}"
    return answered


def _export(path: Path, variables: Variables, live_map: LiveMap) -> Message:
    answered: Dict[str, Any] = {"type": "exported", "path": str(path), "environment": None, "policy": None}
    answered["reason"] = None
    try:
        state = capture.take(variables, live_map)
        answered.update(policy_graph.export(state, path, variables.globals))
    except Unrecognised as exc:
        answered["reason"] = str(exc)
    except Exception as exc:  # noqa: BLE001 - methods of the script's are run
        answered["reason"] = f"{type(exc).__name__}: {exc}"
    return answered
