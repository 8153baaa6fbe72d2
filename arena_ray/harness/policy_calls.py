"""The call of a module that gives the script's actions, made once more with other observations."""

from __future__ import annotations

import ast
from typing import Any, Callable, List, NamedTuple, Tuple

from .capture import State
from .environments import Environment
from .live import torch_if_used
from .policy_acting import Actings, find_actings
from .policy_flow import Acting
from .policy_source import SAME_SHAPE, Unrecognised, dotted, is_changed, segment
from .variables import MISSING, class_name

_PLAIN = (type(None), bool, int, float, str)


class Act(NamedTuple):
    """What gives actions: a module of torch that is given observations, and calls the script's own as the script does.

    *parts* are these, *key* is the first one's, *called* how the script's text calls it. With *is_clipped* the script
    clips what it gives.
    """

    module: Any
    parts: List[Any]
    key: str
    called: str
    is_clipped: bool


def acts_of(state: State, environment: Environment) -> List[Act]:
    """Return all that gives actions of the script.

    Raises:
        Unrecognised: There is nothing, or its module is given more than an observation as it came.
    """
    actings = find_actings(state, environment)
    calls = _Calls(state, actings, environment)
    return [calls.act(one) for one in actings.found]


class _Calls:
    def __init__(self, state: State, actings: Actings, environment: Environment) -> None:
        self._actings = actings
        self._environment = environment
        variables = [(slot[2], value) for slot, value in state.values.items() if slot[0] in ("global", "local")]
        self._variables = dict(reversed(variables))  # a local one before a global of its name
        self._keys = state.live_map.by_key

    def act(self, acting: Acting) -> Act:
        """Return what *acting* does."""
        self._require_shape(acting)
        torch: Any = torch_if_used()
        part, ask = self._question(acting.called, acting.call)
        parts, steps = [part], [ask]
        for name, detail in acting.changes:
            if name == "call":
                part, ask = self._question(*detail)
                parts.append(part)
                steps.append(ask)
            else:
                steps.append(_change(torch, name, detail))

        class Acts(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
            def __init__(self) -> None:
                super().__init__()
                self.parts = torch.nn.ModuleList(parts)  # whose weights the graph holds

            def forward(self, observations: Any) -> Any:
                value = observations
                for step in steps:
                    value = step(value)
                return value

        is_clipped = ("clip", None) in acting.changes
        return Act(Acts().eval(), parts, self._actings.called[acting.called][0], acting.called, is_clipped)

    def _require_shape(self, acting: Acting) -> None:
        """Check that the module gets observations of the environment's shape, where that is more than a row."""
        shape = self._environment.description["observation_space"]["shape"]
        is_flat = len(shape) == 1 or any(step["step"] == "flatten" for step in self._environment.observation)
        value = acting.call.args[0]
        if not is_flat and is_changed(self._actings.tree, value, self._environment.names, same=SAME_SHAPE):
            shown = self._shown(acting.call)
            raise Unrecognised(f"observations are given another shape before {shown}; do that in the module's forward")

    def _question(self, called: str, call: ast.Call) -> Tuple[Any, Callable[[Any], Any]]:
        """Return the module that *call* calls, and what asks it as *call* does."""
        key, method = self._actings.called[called]
        module = self._keys[key].value
        arguments = [self._constant(argument, call) for argument in call.args[1:]]
        keywords = {str(word.arg): self._constant(word.value, call) for word in call.keywords}
        function = getattr(module, method) if method else module
        return module, lambda given: function(given, *arguments, **keywords)

    def _constant(self, node: Any, call: ast.Call) -> Any:
        """Return what an argument is now, where it stays that."""
        try:
            return ast.literal_eval(node)
        except ValueError:
            value = self._looked_up(dotted(node))
        torch: Any = torch_if_used()
        if isinstance(value, (*_PLAIN, torch.device)):
            return value
        raise Unrecognised(
            f"{self._shown(call)} is given more than an observation: a policy with a memory, as a recurrent one has, "
            "cannot be exported"
        )

    def _looked_up(self, name: str) -> Any:
        """Return the value of ``a.b.c``, or :data:`MISSING`."""
        first, *rest = name.split(".")
        value = self._variables.get(first, MISSING)
        for piece in rest:
            value = getattr(value, "__dict__", {}).get(piece, MISSING)
        return value

    def _shown(self, node: Any) -> str:
        return segment(self._actings.text, node)


def _change(torch: Any, name: str, detail: Any) -> Callable[[Any], Any]:
    """Return what the script does to what its module has answered."""

    def change(value: Any) -> Any:
        if isinstance(value, tuple):
            return _part(value, name, detail)
        if isinstance(value, torch.distributions.Distribution):
            return _drawn(value, name, detail)
        if torch.is_tensor(value):
            return _changed(value, name, detail)
        raise Unrecognised(f"the script's module answers with a {class_name(value)}, which is not understood")

    return change


def _part(value: Tuple[Any, ...], name: str, detail: Any) -> Any:
    if name == "item" and detail is not None and detail < len(value):
        return value[detail]
    if name == "attribute" and detail in getattr(value, "_fields", ("values", "indices")):
        return getattr(value, detail) if hasattr(value, detail) else value[("values", "indices").index(detail)]
    raise Unrecognised(f"{name} of the several things that the script's module answers is not understood")


def _drawn(value: Any, name: str, detail: Any) -> Any:
    if name == "sample":
        return value.sample()
    if name == "attribute" and detail in ("loc", "logits", "mean", "mode", "probs"):
        return getattr(value, detail)
    raise Unrecognised(f"the {detail or name} of a distribution is not understood")


def _changed(value: Any, name: str, detail: Any) -> Any:
    """Return a tensor after a change; what only picks the first of several environments is none here."""
    is_same = name == "item" or (name, detail) in (("attribute", "data"), ("clip", None))
    if is_same or (name == "whole" and not value.is_floating_point()):
        return value
    if name in ("argmax", "max") and detail in (None, 1, -1) and value.dim() == 2:
        largest = value.argmax(dim=1)
        return largest if name == "argmax" else (value.amax(dim=1), largest)
    if name == "clip":
        return value.clamp(*detail)
    raise Unrecognised(f"{name} of what the script's module answers is not understood")
