"""The state of live objects: compared with those of this process before anything is touched, then put in place."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

from . import capture
from . import live as live_objects
from .live import Leaf


class ModuleState(NamedTuple):
    """A module of this process, and what is to be put into it: its tensors by name, and what they do not say of it."""

    module: Any
    tensors: Dict[str, Any]
    rest: Dict[str, Any]


class LiveState(NamedTuple):
    """What is to be put into live objects, by their keys."""

    modules: Dict[str, ModuleState]
    leaves: Dict[str, Leaf]
    optimizers: Dict[str, Tuple[Any, Dict[str, Any]]]
    stateful: Dict[str, Tuple[Any, Any]]

    def problems(self) -> Iterator[str]:
        """Yield what keeps it from fitting its objects."""
        for key, (module, theirs, _) in self.modules.items():
            ours = live_objects.tensors(module)
            for name in sorted({*ours, *theirs}):
                if name not in theirs or name not in ours:
                    lacking = "the checkpoint" if name not in theirs else "the script"
                    yield f"{lacking} has no {key}.{name}"
                elif form(ours[name]) != form(theirs[name]):
                    yield f"{key}.{name} is {form(theirs[name])} there and {form(ours[name])} here"
        for key, (optimizer, saved) in self.optimizers.items():
            if _parameters(optimizer.param_groups) != _parameters(saved["groups"]):
                yield f"the optimizer {key} steps other parameters"

    def present(self) -> LiveState:
        """Return what the same objects hold now, as it will be whatever is put into them."""
        modules = {
            key: ModuleState(module, _copies(live_objects.tensors(module)), capture.module_state(module, theirs))
            for key, (module, theirs, _) in self.modules.items()
        }
        return LiveState(
            modules,
            {
                key: leaf._replace(data=leaf.live.detach().clone(), grad=leaf.live.grad)
                for key, leaf in self.leaves.items()
            },
            {key: (optimizer, capture.optimizer_state(optimizer)) for key, (optimizer, _) in self.optimizers.items()},
            {key: (value, value.state_dict()) for key, (value, _) in self.stateful.items()},
        )

    def put_back(self) -> None:
        """Put it into its objects, which stay the same objects."""
        torch = live_objects.torch_if_used()
        if torch is None:
            return
        with torch.no_grad():
            for state in self.modules.values():
                _put_back_module(state)
            for leaf in self.leaves.values():
                leaf.live.copy_(leaf.data)
                leaf.live.grad = leaf.grad
        for optimizer, saved in self.optimizers.values():
            _put_back_optimizer(optimizer, saved)
        for value, saved in self.stateful.values():
            value.load_state_dict(saved)


def form(tensor: Any) -> str:
    """Return dtype and shape of *tensor* in words."""
    return f"{str(tensor.dtype).split('.')[-1]}{list(tensor.shape)}"


def _parameters(groups: List[Dict[str, Any]]) -> List[List[int]]:
    return [list(map(id, group["params"])) for group in groups]


def _copies(tensors: Dict[str, Any]) -> Dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _put_back_module(state: ModuleState) -> None:
    module, saved, rest = state
    for name, tensor in live_objects.tensors(module).items():
        tensor.copy_(saved[name])
    parameters = dict(module.named_parameters())
    for name, needed in rest["requires_grad"].items():
        parameters[name].requires_grad_(needed)
        parameters[name].grad = rest["grad"][name]
    for name, part in module.named_modules():
        part.training = rest["training"].get(name, part.training)


def _put_back_optimizer(optimizer: Any, saved: Dict[str, Any]) -> None:
    """Put an optimizer's state back without ``load_state_dict``, which casts it to the parameters' dtype."""
    optimizer.state.clear()
    optimizer.state.update(saved["state"])
    for index, group in enumerate(saved["groups"]):
        optimizer.param_groups[index].update({name: value for name, value in group.items() if name != "params"})
