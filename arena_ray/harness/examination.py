"""Answers to what a probe asks: which environments repeat their steps, in which variables two checkpoints differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from . import capture, comparison, repetition
from .live import LiveMap
from .variables import Variables
from .wire import Message

COMMANDS = ("examine", "compare")


def answer(command: Message, variables: Variables, live_map: LiveMap) -> Message:
    """Return the answer to *command*; never raises.

    A probe takes both commands to processes of its own: ``compare`` unpickles what the probe has just had written.
    """
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
