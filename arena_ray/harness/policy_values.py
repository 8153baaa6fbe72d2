"""What an expression of a script's module stands for while its text is read: numbers that come from an observation."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

from .policy_source import Unrecognised

Layer = Dict[str, Any]


class Chain(NamedTuple):
    """A tensor that is computed from the observation by *layers*, one after the other, a row for each observation.

    *size* is how many numbers an observation has, *width* how many a row has, None while rows are not flat. *drawn*
    names the distribution of which the numbers are the mean, after the first *drawn_at* layers, or the logits. *choice*
    says that it is an index: the most likely one (``categorical``), or that of the largest number (``q_values``).
    *stage* is how far the mean over atoms has come.
    """

    layers: Tuple[Layer, ...]
    size: int
    width: Optional[int]
    drawn: str = ""
    drawn_at: int = 0
    choice: str = ""
    stage: str = ""

    def then(self, layer: Layer, width: Optional[int] = None) -> Chain:
        """Return the chain with one more layer."""
        return self._replace(layers=(*self.layers, layer), width=width or self.width)


class Weight(NamedTuple):
    """A parameter or buffer of the policy, by its name among the weights of the checkpoint."""

    name: str
    tensor: Any


class Bounds(NamedTuple):
    """The sum or the difference of two weights, by their names."""

    operator: str
    middle: str
    reach: str


class Distribution(NamedTuple):
    """A distribution by its kind, and its mean or logits."""

    kind: str
    chain: Chain


class Unknown(NamedTuple):
    """What is not understood, and need not be, unless the action depends on it."""

    why: str


def applied(operator: str, left: Any, right: Any, shown: str) -> Any:
    """Return ``left operator right`` of which one is a chain, as a chain where that is a layer.

    Args:
        operator: Name of the operator's class in :mod:`ast`.
        left: Any value.
        right: Any value.
        shown: The expression, for the reason.
    """
    if isinstance(left, Weight) and isinstance(right, Weight) and operator in ("Add", "Sub"):
        return Bounds(operator, left.name, right.name)
    if operator in ("Add", "Mult") and not isinstance(left, Chain):
        left, right = right, left
    for side in (left, right):
        if isinstance(side, Unknown):
            return side
    if not isinstance(left, Chain) or left.choice:
        return Unknown(shown)
    if left.stage:
        return _weighted(left, operator, right, shown)
    if _is_number(right):
        layer = {"Add": "shift", "Sub": "shift", "Mult": "scale", "Div": "divide"}.get(operator)
        return left.then({"layer": layer, "by": -right if operator == "Sub" else right}) if layer else Unknown(shown)
    if isinstance(right, Weight) and operator in ("Add", "Mult"):
        return left.then({"layer": "shift" if operator == "Add" else "scale", "by": _row(left, right, shown)})
    return Unknown(shown)


def _row(chain: Chain, weight: Weight, shown: str) -> str:
    """Return the name of *weight*, which has one number for each of a row's."""
    shape = [int(side) for side in weight.tensor.shape]
    if shape in ([chain.width], [1, chain.width]):
        return weight.name
    raise Unrecognised(f"{weight.name} of shape {shape} does not fit {chain.width} numbers: {shown}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def grouped(chain: Chain, sides: Tuple[Any, ...], shown: str) -> Any:
    """Return *chain* viewed as ``[n, actions, atoms]``, or flat where *sides* say that."""
    if len(sides) == 2 and not chain.stage and not chain.choice and sides[1] == -1:
        return flattened(chain, shown)
    if len(sides) != 3 or chain.stage or chain.choice or chain.drawn:
        return Unknown(shown)
    _, actions, atoms = sides
    if type(actions) is not int or type(atoms) is not int or actions * atoms != chain.width:
        return Unknown(shown)
    layer = {"layer": "expectation", "actions": actions, "atoms": atoms}
    return chain.then(layer)._replace(stage="grouped")


def softmax(chain: Chain, dimension: Any, shown: str) -> Any:
    """Return the probabilities of the atoms of each action."""
    if chain.stage == "grouped" and dimension in (2, -1):
        return chain._replace(stage="masses")
    return Unknown(shown)


def _weighted(chain: Chain, operator: str, right: Any, shown: str) -> Any:
    *layers, last = chain.layers
    if chain.stage != "masses" or operator != "Mult" or not isinstance(right, Weight):
        return Unknown(shown)
    if [int(side) for side in right.tensor.shape] != [last["atoms"]]:
        raise Unrecognised(f"{right.name} does not have {last['atoms']} atoms: {shown}")
    return chain._replace(layers=(*layers, dict(last, support=right.name)), stage="weighted")


def summed(chain: Chain, dimension: Any, shown: str) -> Any:
    """Return the mean over the atoms, one number for each action."""
    if chain.stage == "weighted" and dimension in (2, -1):
        return chain._replace(stage="", width=chain.layers[-1]["actions"])
    return Unknown(shown)


def flattened(chain: Chain, shown: str) -> Any:
    """Return one row of numbers for each observation."""
    if chain.stage or chain.choice:
        return Unknown(shown)
    return chain.then({"layer": "flatten"}, chain.size) if chain.width is None else chain


def chosen(chain: Chain, dimension: Any, shown: str) -> Any:
    """Return the index of the largest number of each row."""
    if chain.stage or chain.choice or chain.drawn not in ("", "categorical") or dimension not in (1, -1, None):
        return Unknown(shown)  # without a dimension it is the largest of one observation's numbers
    return chain._replace(drawn="", choice=chain.drawn or "q_values")


def drawn(distribution: Distribution, how: str) -> Any:
    """Return what is drawn from *distribution*: a sample stands for its mean or its most likely value.

    Args:
        distribution: The distribution.
        how: Name of the method or attribute.
    """
    chain = distribution.chain
    if distribution.kind == "categorical" and how in ("mode", "sample"):
        return chain._replace(choice="categorical")
    if distribution.kind == "categorical" and how == "logits":
        return chain._replace(drawn="categorical")
    if distribution.kind == "gaussian" and how in ("loc", "mean", "mode", "rsample", "sample"):
        return chain._replace(drawn="gaussian", drawn_at=len(chain.layers))
    return Unknown(f"the {how} of a distribution")
