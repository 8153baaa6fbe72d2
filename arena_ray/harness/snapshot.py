"""Write a captured state as the files of a checkpoint."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any, Dict

from . import capture, checkpoint, policy
from .live import torch_if_used
from .variables import class_name


def write(path: Path, state: capture.State, meta: Dict[str, Any], *, script: Path) -> checkpoint.Written:
    """Write *state* to the directory *path*; adds to *meta* what is known only here, as what was left out.

    Raises:
        Exception: An OSError where the files cannot be written, and whatever pickling raises.
    """
    torch = torch_if_used()
    meta.update(python=platform.python_version(), torch=str(torch.__version__) if torch is not None else None)
    meta["schema_version"] = checkpoint.SCHEMA_VERSION
    modules = {key: class_name(state.live_map.by_key[key].value) for key in state.weights}
    note: Dict[str, Any] = {"schema_version": policy.SCHEMA_VERSION, "script": script.name}
    note.update(modules=modules, global_step=meta["step"], boundary=meta["boundary"], **policy.describe(state))
    writer = checkpoint.Writer(path)
    try:
        writer.add(checkpoint.POLICY, lambda file: capture.write_weights(file, state))
        writer.add_json(checkpoint.POLICY_NOTE, note)
        writer.add(checkpoint.STATE, lambda file: capture.write_state(file, state))
        meta["skipped"] = state.skipped
        writer.add_json(checkpoint.META, meta)
        return writer.finish()
    finally:
        writer.discard()
