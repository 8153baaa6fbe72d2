"""Layers of torch as a description names them: modules, functions and methods with one meaning, whoever calls them."""

from __future__ import annotations

import sys
import types
from typing import Any, Callable, Dict, List

from .live import torch_if_used
from .policy_source import Unrecognised
from .policy_values import Bounds, Chain, Distribution, Unknown, chosen, flattened, grouped, softmax, summed

_ELEMENTWISE = ("relu", "tanh", "sigmoid", "silu", "gelu", "elu", "leaky_relu")
_SAME = ("clone", "contiguous", "cpu", "detach", "float", "numpy", "to")
_BOUNDS = {"min": 0, "a_min": 0, "max": 1, "a_max": 1}


def described(nn: Any, module: Any, chain: Chain, name: str) -> Any:
    """Return *chain* after *module*, a layer of torch that is called *name*; what is no such layer is unknown."""
    check_hooks(module, name)
    kind = type(module)
    if chain.stage or chain.choice:
        return Unknown(f"{name} is given something else than numbers of an observation")
    if kind in (nn.Linear, nn.LayerNorm):
        return _weighted(kind is nn.Linear, module, chain, name)
    if kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return flattened(chain, name)
    if kind is nn.Identity:
        return chain
    plain = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SiLU: "silu", nn.GELU: "gelu"}
    plain.update({nn.ELU: "elu", nn.LeakyReLU: "leaky_relu"})
    usual = {"alpha": 1.0, "approximate": "none", "negative_slope": 0.01}
    if kind in plain and all(getattr(module, key, value) == value for key, value in usual.items()):
        return chain.then({"layer": plain[kind]})
    return Unknown(f"{name} is a {kind.__name__}, a layer that cannot be described")


def check_hooks(module: Any, name: str) -> None:
    """Raise where calling *module* does more than the ``forward`` of its class."""
    everywhere = vars(sys.modules["torch.nn.modules.module"])
    for hooks in ("forward_hooks", "forward_pre_hooks"):
        if getattr(module, "_" + hooks, None) or everywhere.get("_global_" + hooks):
            raise Unrecognised(f"{name} has a forward hook")
    if "forward" in vars(module):
        raise Unrecognised(f"{name} is called in a way of its own")


def _weighted(is_linear: bool, module: Any, chain: Chain, name: str) -> Any:
    inputs = [module.in_features] if is_linear else list(module.normalized_shape)
    if chain.drawn or chain.width is None or inputs != [chain.width]:
        given = "what was drawn" if chain.drawn else f"{chain.width or 'observations that are not flat'}"
        return Unknown(f"{name} takes {inputs} numbers and is given {given}")
    held = {key: getattr(module, key) for key in ("weight", "bias")}
    names = {key: None if value is None else f"{name}.{key}" for key, value in held.items()}
    if not is_linear:
        return chain.then({"layer": "layer_norm", **names, "features": chain.width, "epsilon": float(module.eps)})
    outputs = int(module.out_features)
    return chain.then({"layer": "linear", **names, "in_features": chain.width, "out_features": outputs}, outputs)


def function_layer(function: Any) -> str:
    """Return the name of what *function* of torch or numpy computes from its first argument, or an empty text."""
    torch: Any = sys.modules.get("torch")
    numpy: Any = sys.modules.get("numpy")
    for home in (torch, getattr(getattr(torch, "nn", None), "functional", None), numpy):
        for name in (*_ELEMENTWISE, "softmax", "flatten", "sum", "clip", "clamp", "argmax"):
            if home is not None and vars(home).get(name) is function:
                return name
    return ""


def after(chain: Chain, name: str, arguments: List[Any], keywords: Dict[str, Any], shown: str) -> Any:
    """Return *chain* after the method or function *name*, with the rest of its arguments."""
    if name in _SAME and not chain.stage:
        return chain
    if name == "astype" and [getattr(kind, "__name__", "") for kind in arguments] in (["float32"], ["float64"]):
        return chain
    if name in _ELEMENTWISE:
        if arguments or keywords:  # one of them may say that it is done in place
            raise Unrecognised(f"{shown} has more arguments than are understood")
        return Unknown(shown) if chain.stage or chain.choice else chain.then({"layer": name})
    if name in ("view", "reshape"):
        sides = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple) else tuple(arguments)
        return Unknown(shown) if keywords else grouped(chain, sides, shown)
    if name in ("clip", "clamp"):
        return _clipped(chain, arguments, keywords, shown)
    keywords = dict(keywords)
    dimension = keywords.pop("dim", keywords.pop("axis", keywords.pop("start_dim", None)))
    if arguments and dimension is None:
        dimension, arguments = arguments[0], arguments[1:]
    if arguments or keywords:
        return Unknown(shown)
    if name == "flatten":
        return flattened(chain, shown) if dimension == 1 else Unknown(shown)
    by_dimension: Dict[str, Callable[..., Any]] = {"softmax": softmax, "sum": summed, "argmax": chosen}
    return by_dimension[name](chain, dimension, shown) if name in by_dimension else Unknown(shown)


def _clipped(chain: Chain, arguments: List[Any], keywords: Dict[str, Any], shown: str) -> Any:
    bounds: List[Any] = [*arguments, None, None][:2]
    for key, value in keywords.items():
        if key not in _BOUNDS:
            return Unknown(shown)
        bounds[_BOUNDS[key]] = value
    if _reaches(chain, bounds):
        return chain
    is_plain = all(bound is None or type(bound) in (int, float) for bound in bounds) and len(arguments) <= 2
    if not is_plain or chain.stage or chain.choice:
        return Unknown(shown)
    low, high = ("-inf" if bounds[0] is None else bounds[0]), ("inf" if bounds[1] is None else bounds[1])
    return chain.then({"layer": "clip", "low": low, "high": high})


def _reaches(chain: Chain, bounds: List[Any]) -> bool:
    """Return whether *bounds* are those that ``tanh * reach + middle`` cannot pass anyway, not even by rounding."""
    if not all(isinstance(bound, Bounds) for bound in bounds):
        return False
    low, high = bounds
    is_around = (low.operator, high.operator) == ("Sub", "Add") and low[1:] == high[1:]
    layers = ({"layer": "tanh"}, {"layer": "scale", "by": low.reach}, {"layer": "shift", "by": low.middle})
    return is_around and chain.layers[-3:] == layers


def distribution(kind: str, arguments: List[Any], keywords: Dict[str, Any], shown: str) -> Any:
    """Return torch's distribution *kind*, ``Normal``, ``Categorical`` or ``Independent``, made of these arguments."""
    if kind == "Independent":
        is_plain = bool(arguments) and isinstance(arguments[0], Distribution)
        return arguments[0] if is_plain and arguments[0].kind == "gaussian" else Unknown(shown)
    mean = arguments[0] if arguments else keywords.get("loc")
    value = mean if kind == "Normal" else keywords.get("logits")
    if isinstance(value, Chain) and not value.choice and not value.stage and not value.drawn:
        return Distribution("gaussian" if kind == "Normal" else "categorical", value)
    return value if isinstance(value, Unknown) else Unknown(shown)


def is_library(called: Any) -> bool:
    """Return whether *called* belongs to Python, torch, numpy or gymnasium, whose functions leave arguments alone."""
    home = getattr(called, "__module__", None) or type(called).__module__
    return home.split(".")[0] in ("builtins", "math", "torch", "numpy", "gymnasium", "_operator")


def forward_of(module: Any, name: str) -> Any:
    """Return the method that a call of *module* runs.

    Raises:
        Unrecognised: A call does more than run it.
    """
    check_hooks(module, name)
    torch: Any = torch_if_used()
    if type(module).__call__ is not torch.nn.Module.__call__:
        raise Unrecognised(f"{name} is called in a way of its own")
    return types.MethodType(type(module).forward, module)


def attribute(owner: Any, name: str, default: Any) -> Any:
    """Return an attribute as it lies in *owner*, without running code of its class."""
    torch = torch_if_used()
    held = getattr(owner, "__dict__", {})
    if name == "training":  # may be another one while the script acts
        return default
    inner = ("_parameters", "_buffers", "_modules") if torch and isinstance(owner, torch.nn.Module) else ()
    for table in (held, *(held[part] for part in inner)):
        if name in table:
            return table[name]
    for cls in type(owner).__mro__ if not isinstance(owner, (types.ModuleType, type)) else ():
        found = vars(cls).get(name)
        if isinstance(found, types.FunctionType):
            return types.MethodType(found, owner)
        if isinstance(found, (bool, int, float, str)):
            return found
    return default
