"""Find the policy: the module from which the script's actions come, and what it computes of an observation."""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import Any, Dict, FrozenSet, List, NamedTuple, Set, Tuple

from . import policy_flow
from .capture import State
from .environments import Environment
from .live import Live, torch_if_used
from .policy_flow import Acting
from .policy_layers import attribute, forward_of
from .policy_source import Unrecognised, parse
from .policy_trace import trace
from .policy_values import Chain, Distribution, Unknown, chosen, drawn
from .variables import path_text

_AFFINE = frozenset({"clip", "divide", "scale", "shift"})


class Policy(NamedTuple):
    """The module that acts, by its name; what it computes; whether the script clips that to the action space."""

    key: str
    kind: str
    chain: Chain
    is_clipped: bool


class Actings(NamedTuple):
    """The calls of modules from which the script's actions come, in its *text* and *tree*.

    *modules* are all of the script's, by key; *called* says which one a call means, and which method of it.
    """

    modules: Dict[str, Live]
    called: Dict[str, Tuple[str, str]]
    text: str
    tree: ast.Module
    found: Tuple[Acting, ...]


def find_actings(state: State, environment: Environment) -> Actings:
    """Return the calls from which the actions come that the script takes.

    Raises:
        Unrecognised: There are none, or what happens to their answers is not understood.
    """
    modules = {key: live for key, live in state.live_map.by_key.items() if live.kind == "module"}
    if torch_if_used() is None or not modules:
        raise Unrecognised("the script holds no torch module")
    called = _callables(modules)
    text, tree = _script(modules, environment.names)
    found = policy_flow.find(text, tree, frozenset(called), environment.names)
    return Actings(modules, called, text, tree, found)


def find_policy(state: State, environment: Environment) -> Policy:
    """Return what gives the actions that the script takes.

    Raises:
        Unrecognised: There is nothing, or it is not understood.
    """
    actings = find_actings(state, environment)
    calls = _Calls(state, actings)
    found = [calls.policy(acting, _observation(environment)) for acting in actings.found]
    is_index = environment.description["action_space"]["space"] == "discrete"
    fitting = [one for one in found if bool(one.chain.choice) == is_index] or found  # another is no action there
    first = fitting[0]._replace(is_clipped=any(one.is_clipped for one in fitting))
    others = [one.key for one in fitting if one._replace(is_clipped=first.is_clipped) != first]
    if others:
        raise Unrecognised(f"several policies act: {', '.join([first.key, *others])}")
    return first


def _callables(live_modules: Dict[str, Live]) -> Dict[str, Tuple[str, str]]:
    """Return how the script's text may call its modules: the key and the method of each, where only one is meant."""
    found: Dict[str, Set[Tuple[str, str]]] = {}
    for key, live in live_modules.items():
        names = {path_text(path) for path in live.paths}
        names.update("self." + name.split(".")[-1] for name in names.copy() if "." in name)
        own = [cls for cls in type(live.value).__mro__ if not cls.__module__.startswith("torch.")]
        methods = {method for cls in own for method in vars(cls) if not method.startswith("__")}
        for name in names:
            found.setdefault(name, set()).add((key, ""))
            for method in methods:
                found.setdefault(f"{name}.{method}", set()).add((key, method))
    return {text: meant.pop() for text, meant in found.items() if len(meant) == 1}


def _script(modules: Dict[str, Live], environments: FrozenSet[str]) -> Tuple[str, ast.Module]:
    """Return the text that steps the environment: the script's, or that of the file that defines a module."""
    paths = [getattr(sys.modules.get("__main__"), "__file__", None)]
    for live in modules.values():
        codes = (getattr(value, "__code__", None) for value in vars(type(live.value)).values())
        paths.extend(code.co_filename for code in codes if code is not None)
    texts: List[Tuple[str, ast.Module]] = []
    for path in dict.fromkeys(path for path in paths if path):
        try:
            texts.append(parse(Path(path)))
        except (OSError, SyntaxError, ValueError):
            continue
    stepping = [one for one in texts if policy_flow.steps(one[1], environments)]
    if not stepping:
        raise Unrecognised("nothing in the script's text steps its environment with an action")
    return stepping[0]


class _Calls:
    """Calls of the script's modules, as its text writes them, and what they answer."""

    def __init__(self, state: State, actings: Actings) -> None:
        self._modules = actings.modules
        self._names = _names(state, actings.modules)
        self._called = actings.called

    def policy(self, acting: Acting, observation: Chain) -> Policy:
        """Return what *acting* computes of *observation*."""
        value = self._answer(observation, acting.called, acting.call)
        for name, detail in acting.changes:
            value = self._answer(value, *detail) if name == "call" else _changed(value, name, detail)
        if not isinstance(value, Chain) or value.stage:
            what = f"not understood: {value.why}" if isinstance(value, Unknown) else "no tensor of numbers"
            raise Unrecognised(f"the action depends on what is {what}")
        is_clipped = ("clip", None) in acting.changes
        return Policy(self._called[acting.called][0], _kind(value), value, is_clipped)

    def _answer(self, given: Any, called: str, call: ast.Call) -> Any:
        key, method = self._called[called]
        module = self._modules[key].value
        function = attribute(module, method, None) if method else forward_of(module, key)
        if not isinstance(function, types.MethodType):
            raise Unrecognised(f"{called} is not a method of the class of {key}")
        arguments = [given, *(_constant(argument) for argument in call.args[1:])]
        keywords = {str(word.arg): _constant(word.value) for word in call.keywords}
        return trace(function, arguments, keywords, self._names)


def _names(state: State, modules: Dict[str, Live]) -> Dict[int, str]:
    """Return the names of all modules, and of those tensors that are weights of the checkpoint, by their ids."""
    names: Dict[int, str] = {}
    for root, tensors in state.weights.items():
        names.update({id(tensor): f"{root}.{name}" for name, tensor in tensors.items()})
        names.update(
            {id(part): f"{root}.{name}" if name else root for name, part in modules[root].value.named_modules()}
        )
    return names


def _observation(environment: Environment) -> Chain:
    shape = environment.description["observation_space"]["shape"]
    size = 1
    for side in shape:
        size *= side
    is_flat = len(shape) == 1 or any(step["step"] == "flatten" for step in environment.observation)
    return Chain((), size, size if is_flat else None)


def _constant(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return Unknown("an argument")


def _changed(value: Any, name: str, detail: Any) -> Any:
    """Return *value* after what the script does to what its module answered."""
    if isinstance(value, tuple) and type(value) is tuple:
        index = 1 if (name, detail) == ("attribute", "indices") else detail if name == "item" else None
        return value[index] if index is not None and index < len(value) else Unknown("a part of an answer")
    if isinstance(value, Distribution):
        return drawn(value, detail if name == "attribute" else name)
    if not isinstance(value, Chain):
        return value
    if name == "item" or (name, detail) == ("attribute", "data") or (name == "whole" and value.choice):
        return value
    if name == "argmax":
        return chosen(value, detail, "argmax")
    if name == "max":
        return (Unknown("the largest number"), chosen(value, detail, "max"))
    if name == "clip" and not value.choice:
        return value.then({"layer": "clip", "low": detail[0], "high": detail[1]}) if detail else value
    return Unknown(f"{name} of the network's outputs")


def _kind(chain: Chain) -> str:
    if chain.choice:
        return chain.choice
    if chain.drawn != "gaussian":
        return "deterministic"
    is_squashed = any(layer["layer"] not in _AFFINE for layer in chain.layers[chain.drawn_at :])
    return "squashed_gaussian" if is_squashed else "gaussian"
