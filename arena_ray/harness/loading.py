"""Take over the weights and optimizers of another run's checkpoint, in place and while the script trains."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Iterator, Set, Tuple

from . import live as live_objects
from . import restore, running_statistics
from .live import LiveMap
from .live_state import LiveState, form
from .pickling import CheckpointMismatch
from .variables import MISSING, Variables

_LEARNED = ("module", "optimizer", "stateful", "leaf")


def load(path: Path, variables: Variables, live_map: LiveMap) -> None:
    """Put the checkpoint's modules, optimizers, schedulers and bare leaf tensors into those of this process.

    With them go the running statistics by which observations and rewards are normalised. Nothing else changes:
    counters, random number generators, environments and replay buffer stay this run's.

    Args:
        path: The checkpoint's directory. The caller has checked the digests: this reads pickles.
        variables: The variables at this boundary.
        live_map: The live objects that are reachable from them.

    Raises:
        Exception: Whatever reading a damaged checkpoint raises, or ``CheckpointMismatch``: it does not fit. In each
            case all is as it was before.
    """
    restore.read_meta(path)
    read = restore.read(path, variables, only_learned=True)
    live_state = read.live_state()
    ours, theirs = _stepped(_our_optimizers(live_map)), _stepped(saved for _, saved in live_state.optimizers.values())
    # Only what an optimizer steps, or is a parameter, has been learned: any other tensor goes along where it fits.
    leaves = {
        key: leaf
        for key, leaf in live_state.leaves.items()
        if leaf.live.dtype == leaf.data.dtype and id(leaf.live) in live_map.key_of
    }
    live_state = live_state._replace(leaves=leaves)
    there = {slot[1:]: value for slot, value in read.values.items() if slot[0] == "statistics"}
    statistics = running_statistics.pair(running_statistics.find(variables), there)
    restore.require_fit(
        [
            *live_state.problems(),
            *_misfits(read, leaves, theirs),
            *_lacking(read, live_map, ours),
            *_strays(live_state),
            *running_statistics.problems(statistics),
        ]
    )
    if not any(live_state):
        raise CheckpointMismatch("the checkpoint holds no module, optimizer or tensor that learns")
    _put_in(live_state)
    running_statistics.put_in(statistics)


def _put_in(live_state: LiveState) -> None:
    before = live_state.present()
    try:
        live_state.put_back()
    except Exception:
        # The undoing stops where the loading did: what comes after that was not touched.
        with contextlib.suppress(Exception):
            before.put_back()
        raise


def _our_optimizers(live_map: LiveMap) -> Iterator[Dict[str, Any]]:
    for live in live_map.by_key.values():
        if live.kind == "optimizer":
            yield {"groups": live.value.param_groups}


def _stepped(optimizers: Any) -> Set[int]:
    """Return the ids of the tensors that the *optimizers* step."""
    return {id(tensor) for saved in optimizers for group in saved["groups"] for tensor in group["params"]}


def _misfits(read: restore.Read, leaves: Dict[str, Any], stepped: Set[int]) -> Iterator[str]:
    """Yield the learned bare tensors of the checkpoint that cannot be put in."""
    for key, leaf in read.unpickler.leaves.items():
        if key not in leaves and (leaf.is_parameter or id(read.values.get(("state", key, ""))) in stepped):
            here = "missing" if leaf.live is MISSING else form(leaf.live)
            yield f"{key} is {form(leaf.data)} there and {here} here"


def _lacking(read: restore.Read, live_map: LiveMap, stepped: Set[int]) -> Iterator[str]:
    """Yield what this process has learned and the checkpoint knows nothing of."""
    torch = live_objects.torch_if_used()
    for key, live in live_map.by_key.items():
        is_learned = live.kind != "leaf" or id(live.value) in stepped or isinstance(live.value, torch.nn.Parameter)
        if live.kind in _LEARNED and is_learned and not read.unpickler.is_found(live.value):
            yield f"the checkpoint has no {key}"
    for key, (kind, _, _) in read.header["table"].items():
        if kind in ("optimizer", "stateful") and ("state", key, "") not in read.values:
            yield f"the checkpoint has left out the state of {key}"


def _strays(live_state: LiveState) -> Iterator[str]:
    """Yield what lay on another device than its tensor does here: it would come to lie there again."""
    for text, here, there in _companions(live_state):
        if there is not None and here.device != there.device:
            yield f"{text} lay on {there.device}, its tensor lies on {here.device} here"


def _companions(live_state: LiveState) -> Iterator[Tuple[str, Any, Any]]:
    """Yield what goes along with a learned tensor: its gradient, and what optimizers remember of it."""
    torch = live_objects.torch_if_used()
    for key, (module, _, rest) in live_state.modules.items():
        for name, parameter in module.named_parameters():
            yield f"the gradient of {key}.{name}", parameter, rest["grad"].get(name)
    for key, leaf in live_state.leaves.items():
        yield f"the gradient of {key}", leaf.live, leaf.grad
    for key, (_, saved) in live_state.optimizers.items():
        for tensor, remembered in saved["state"].items():
            for name, value in remembered.items() if isinstance(remembered, dict) else ():
                # a count of steps, without dimensions, may lie anywhere
                if isinstance(tensor, torch.Tensor) and isinstance(value, torch.Tensor) and value.dim():
                    yield f"{name} of {key}", tensor, value
