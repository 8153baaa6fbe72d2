"""Describe the policy in a checkpoint, so that it can act where its script is not: layers by name, spaces, wrappers.

All is read from the live objects and from the script's text; nothing is called and no tensor computed, so training
goes on as if nobody had looked. What is not recognised for certain is not described: ``policy`` is null then, and
``missing`` says why. The form: docs/reference/policy.md.
"""

from __future__ import annotations

from typing import Any, Dict, List

from .capture import State
from .environments import Environment, describe_environment
from .live import torch_if_used
from .policy_acting import Policy, find_policy
from .policy_source import Unrecognised
from .spaces import count_of_actions, number

SCHEMA_VERSION = 4
"""Of ``policy.json``. Version 1 had no ``environment`` and no ``policy``, 2 no steps and no ``act``, 3 no graphs."""

_ACTS = {
    "categorical": "mode",
    "q_values": "greedy",
    "gaussian": "mean",
    "squashed_gaussian": "mean",
    "deterministic": "output",
}


def describe(state: State) -> Dict[str, Any]:
    """Return the keys ``environment``, ``policy`` and ``missing`` of ``policy.json``. Never raises."""
    described: Dict[str, Any] = {"environment": None, "policy": None, "missing": None}
    try:
        environment = describe_environment(state)
        described["environment"] = environment.description
        described["policy"] = _describe_policy(state, environment)
    except Unrecognised as exc:
        described["missing"] = str(exc) + _memory(state)
    except Exception as exc:  # noqa: BLE001 - objects of any class are looked at; a snapshot never fails by it
        described["missing"] = f"describing it failed: {type(exc).__name__}: {exc}"
    return described


def _memory(state: State) -> str:
    """Return, as the end of a reason, which part of the script's modules is recurrent; nothing where none is."""
    torch = torch_if_used()
    kinds = torch and (torch.nn.RNNBase, torch.nn.RNNCellBase)
    recurrent = [key for key, live in state.live_map.by_key.items() if kinds and isinstance(live.value, kinds)]
    if not recurrent:
        return ""
    return f"; {recurrent[0]} is recurrent, and a policy with a memory can be neither described nor exported as a graph"


def _describe_policy(state: State, environment: Environment) -> Dict[str, Any]:
    observations = environment.description["observation_space"]
    if observations["space"] != "box":
        raise Unrecognised("only observations that are a box can be described, not a " + observations["space"])
    policy = find_policy(state, environment)
    _check_actions(policy, environment.description["action_space"])
    network = [{key: number(value) for key, value in layer.items()} for layer in policy.chain.layers]
    _check_trained(state, network)
    action = list(environment.action)
    if policy.is_clipped:
        space = environment.description["action_space"]
        action.insert(0, {"step": "clip", "low": space["low"], "high": space["high"]})
    return {
        "kind": policy.kind,
        "act": _ACTS[policy.kind],
        "module": policy.key,
        "observation": environment.observation,
        "network": network,
        "action": action,
    }


def _check_actions(policy: Policy, space: Dict[str, Any]) -> None:
    """Check that the network gives as many numbers as there are actions, or as an action has."""
    kinds = {"discrete": ("categorical", "q_values"), "box": ("gaussian", "squashed_gaussian", "deterministic")}
    if policy.kind not in kinds.get(space["space"], ()):
        what = "the index of an output" if policy.chain.choice else "the outputs of the network"
        raise Unrecognised(f"an action is {what}, and the environment takes a {space['space']}")
    asked = count_of_actions(space)
    if policy.chain.width != asked:
        raise Unrecognised(f"the environment takes {asked} numbers or actions, the network gives {policy.chain.width}")


def _check_trained(state: State, network: List[Dict[str, Any]]) -> None:
    """Check that an optimizer holds what the policy computes with."""
    by_name = {f"{root}.{name}": tensor for root, named in state.weights.items() for name, tensor in named.items()}
    layers = [layer for layer in network if layer["layer"] in ("linear", "layer_norm")]
    asked = [layer[key] for layer in layers for key in ("weight", "bias") if layer[key] is not None]
    if not asked:
        raise Unrecognised("the policy has no layer with weights")
    lost = [name for name in asked if name not in by_name]
    if lost:
        raise Unrecognised(f"{', '.join(lost)} is not among the weights of the checkpoint")
    optimizers = [live.value for live in state.live_map.by_key.values() if live.kind == "optimizer"]
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = {id(parameter) for group in groups for parameter in group["params"]}
    untrained = [name for name in asked if id(by_name[name]) not in held]
    if untrained:
        raise Unrecognised(f"no optimizer holds {', '.join(untrained)}, with which the policy acts")
