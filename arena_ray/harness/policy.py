"""Describe the policy in a checkpoint, so that it can act where its script is not: layers by name, spaces, wrappers.

All is read from the live objects and from the script's text; nothing is called, so training goes on as if nobody had
looked. What is not recognised for certain is not described: ``policy`` is null then, and ``missing`` says why.
The form: docs/reference/policy.md.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from . import policy_source
from .capture import State
from .environments import describe_environment
from .live import torch_if_used
from .policy_source import Unrecognised

SCHEMA_VERSION = 2
"""Of ``policy.json``. Version 1 had neither ``environment`` nor ``policy``."""


class _Candidate(NamedTuple):
    """A module that may be the policy, with the part of it that gives one number an action."""

    key: str
    module: Any
    attribute: str
    kind: str


def describe(state: State) -> Dict[str, Any]:
    """Return the keys ``environment``, ``policy`` and ``missing`` of ``policy.json``. Never raises."""
    described: Dict[str, Any] = {"environment": None, "policy": None, "missing": None}
    try:
        described["environment"] = describe_environment(state)
        described["policy"] = _describe_policy(state, described["environment"])
    except Unrecognised as exc:
        described["missing"] = str(exc)
    except Exception as exc:  # noqa: BLE001 - objects of any class are looked at; a snapshot never fails by it
        described["missing"] = f"describing it failed: {type(exc).__name__}: {exc}"
    return described


def _describe_policy(state: State, environment: Dict[str, Any]) -> Dict[str, Any]:
    actions = environment["action_space"]
    if actions["space"] != "discrete":
        raise Unrecognised("only discrete actions can be described, and the script's are a " + actions["space"])
    candidate = _find_policy(state)
    policy_source.check(type(candidate.module), candidate.key, attribute=candidate.attribute, kind=candidate.kind)
    part = getattr(candidate.module, candidate.attribute)
    layers = [{"layer": "flatten"}]
    for index, layer in part.named_children():
        layers.append(_describe_layer(layer, f"{candidate.key}.{candidate.attribute}.{index}"))
    _check_sizes(layers, environment)
    _check_weights(layers, state, candidate.key)
    return {"kind": candidate.kind, "module": candidate.key, "network": layers}


def _find_policy(state: State) -> _Candidate:
    """Return the one module that looks like a policy and is trained."""
    torch = torch_if_used()
    modules = {key: live.value for key, live in state.live_map.by_key.items() if live.kind == "module"}
    if torch is None or not modules:
        raise Unrecognised("the script holds no torch module")
    found = [found for key, module in modules.items() for found in [_candidate(torch, key, module)] if found]
    if not found:
        raise Unrecognised(
            f"none of {', '.join(modules)} has a Sequential called actor, or one Sequential and a forward of its own"
        )
    trained = [one for one in found if _is_trained(state, getattr(one.module, one.attribute))]
    if len(trained) != 1:
        names = ", ".join(one.key for one in trained or found)
        raise Unrecognised(f"{'several' if trained else 'no'} optimizers hold what could be the policy: {names}")
    return trained[0]


def _candidate(torch: Any, key: str, module: Any) -> Optional[_Candidate]:
    parts = {name: part for name, part in module.named_children() if type(part) is torch.nn.Sequential}
    if "actor" in parts:
        return _Candidate(key, module, "actor", "categorical")
    has_forward = any("forward" in vars(cls) for cls in type(module).__mro__ if not cls.__module__.startswith("torch."))
    if has_forward and len(parts) == 1:
        return _Candidate(key, module, next(iter(parts)), "q_values")
    return None


def _is_trained(state: State, part: Any) -> bool:
    held: Set[int] = set()
    for live in state.live_map.by_key.values():
        if live.kind == "optimizer":
            held.update(id(parameter) for group in live.value.param_groups for parameter in group["params"])
    parameters = list(part.parameters())
    return bool(parameters) and all(id(parameter) in held for parameter in parameters)


def _describe_layer(layer: Any, name: str) -> Dict[str, Any]:
    nn: Any = torch_if_used().nn
    kind = type(layer)
    if any(getattr(layer, hooks, None) for hooks in ("_forward_hooks", "_forward_pre_hooks")):
        raise Unrecognised(f"{name} has a forward hook")
    if kind is nn.Linear:
        sizes = {"in_features": int(layer.in_features), "out_features": int(layer.out_features)}
        bias = None if layer.bias is None else name + ".bias"
        return {"layer": "linear", "weight": name + ".weight", "bias": bias, **sizes}
    if kind is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
        return {"layer": "flatten"}
    plain = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.Identity: "identity"}
    if kind not in plain:
        raise Unrecognised(f"{name} is a {kind.__name__}, a layer that cannot be described")
    return {"layer": plain[kind]}


def _check_sizes(layers: List[Dict[str, Any]], environment: Dict[str, Any]) -> None:
    linear = [layer for layer in layers if layer["layer"] == "linear"]
    if not linear:
        raise Unrecognised("the policy has no linear layer")
    observations, actions = environment["observation_space"], environment["action_space"]
    if observations["space"] != "box":
        raise Unrecognised("only observations that are a box can be described, not a " + observations["space"])
    asked: Tuple[int, int] = (_product(observations["shape"]), actions["n"])
    given = (linear[0]["in_features"], linear[-1]["out_features"])
    if asked != given:
        raise Unrecognised(
            f"the environment has {asked[0]} numbers an observation and {asked[1]} actions, "
            f"the network takes {given[0]} and gives {given[1]}"
        )


def _check_weights(layers: List[Dict[str, Any]], state: State, key: str) -> None:
    kept = {f"{key}.{name}" for name in state.weights.get(key, {})}
    asked = [layer[name] for layer in layers if layer["layer"] == "linear" for name in ("weight", "bias")]
    lost = [name for name in asked if name is not None and name not in kept]
    if lost:
        raise Unrecognised(f"{', '.join(lost)} is not among the weights of the checkpoint")


def _product(shape: List[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size
