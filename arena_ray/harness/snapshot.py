"""Turn a captured state into the files of a checkpoint, and have them written beside the training."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple, Optional

from . import capture, checkpoint, policy, replay_buffers
from .live import torch_if_used
from .variables import class_name


class Snapshot(NamedTuple):
    """What is to be written where. *previous* is a checkpoint that may share its large arrays with this one."""

    path: Path
    previous: Optional[Path]
    state: capture.State
    meta: Dict[str, Any]
    note: Dict[str, Any]
    replay_buffer: str

    def fill(self, files: Any) -> None:
        """Add everything to *files*, a :class:`checkpoint.Writer` or a :class:`checkpoint.Kept`.

        Usually in a forked child: the training goes on meanwhile. What only looks at the captured state belongs here,
        what computes with torch does not: its threads are not there any more, and it would wait for them for ever.

        Raises:
            Exception: An OSError where the files cannot be written, and whatever pickling raises.
        """
        if self.replay_buffer == "never":
            replay_buffers.leave_out(self.state)
        files.add(checkpoint.POLICY, lambda file: capture.write_weights(file, self.state))
        files.add_json(checkpoint.POLICY_NOTE, self.note)
        files.add(checkpoint.STATE, lambda file: capture.write_state(file, self.state, files.arrays))
        files.add_json(checkpoint.META, {**self.meta, "skipped": self.state.skipped})

    def has_shared_memory(self) -> bool:
        """Return whether a variable or a weight lies in memory that a forked child would see change.

        What lies deeper inside objects is not looked at.
        """
        numpy, torch = sys.modules.get("numpy"), torch_if_used()
        tensors = [tensor for named in self.state.weights.values() for tensor in named.values()]
        for value in (*self.state.values.values(), *tensors):
            if numpy is not None and isinstance(value, numpy.memmap):
                return True
            is_tensor = torch is not None and isinstance(value, torch.Tensor)
            if is_tensor and value.layout is torch.strided and value.is_shared():  # torch cannot say it of others
                return True
        return False

    def write(
        self, fill: Callable[[checkpoint.Writer], None], on_progress: Callable[[], None] = lambda: None
    ) -> Dict[str, Any]:
        """Write the checkpoint, *fill* adding its files, and return what is told of it.

        Raises:
            Exception: As :meth:`fill`.
        """
        try:
            writer = checkpoint.Writer(self.path, previous=self.previous, on_progress=on_progress)
            fill(writer)
            return {**writer.finish()._asdict(), "skipped": self.state.skipped}
        finally:
            checkpoint.discard(self.path)


def prepare(
    state: capture.State,
    meta: Dict[str, Any],
    *,
    path: Path,
    script: Path,
    previous: Optional[Path] = None,
    replay_buffer: str = "auto",
) -> Snapshot:
    """Return the snapshot of *state*, with all that has to be found out while the training is held."""
    torch = torch_if_used()
    versions = {"python": platform.python_version(), "torch": None if torch is None else str(torch.__version__)}
    modules = {key: class_name(state.live_map.by_key[key].value) for key in state.weights}
    note: Dict[str, Any] = {"schema_version": policy.SCHEMA_VERSION, "script": script.name}
    # The script's text is understood once a process: a child would have to begin anew each time.
    note.update(modules=modules, global_step=meta["step"], boundary=meta["boundary"], **policy.describe(state))
    told = {**meta, **versions, "schema_version": checkpoint.SCHEMA_VERSION}
    return Snapshot(path, previous, state, told, note, replay_buffer)
