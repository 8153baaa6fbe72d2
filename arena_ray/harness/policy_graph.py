"""Record a policy that is not read layer by layer as a graph of torch's: its module is run with made-up observations.

Only where the process is thrown away afterwards: methods of the script's run, and torch's distributions are changed.
Whatever the graph could get wrong without a word is looked for, and refused: numbers that are drawn, memory, rows of a
batch that depend on each other, and another action than the module's own.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

from . import rng
from .capture import State
from .environments import Environment, describe_environment
from .fingerprints import Fingerprints
from .live import torch_if_used
from .policy_calls import Act, acts_of
from .policy_source import Unrecognised
from .spaces import count_of_actions

MOST_AT_ONCE = 4096
"""Observations that the graph takes as one batch."""

_EXAMPLES = 16
"""Observations with which a module is tried; with few of them the index of an action could hide a difference."""
_RECORDED = 3
_TRIED = (1, 2, 16)
"""Sizes of the batches with which graph and module are compared; the graph is made with another one."""
_LONGEST_REASON = 300


def export(state: State, path: Path, names: Dict[str, Any]) -> Dict[str, Any]:
    """Write the graph of the policy to *path* and return ``environment`` and ``policy`` as ``policy.json`` has them.

    Args:
        state: What the script holds.
        path: Where to.
        names: The script's global variables.

    Raises:
        Unrecognised: There is none that would act as the script does, for the reason that it names.
        OSError: It cannot be written.
    """
    torch = torch_if_used()
    if torch is None or not hasattr(torch, "export"):
        raise Unrecognised("the script's torch has no torch.export, as newer ones have")
    _leave_absent_gpu(torch, state, names)
    environment = describe_environment(state)
    acts = acts_of(state, environment)
    with torch.no_grad(), _WithoutChance(torch), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what torch deprecates and uses
        act, sample = _fitting(torch, acts, environment)
        parameters, takes_batches = _export(torch, act, sample, environment, path)
    _require_trained(state, parameters)
    action = list(environment.action)
    if any(one.is_clipped for one in acts):
        space = environment.description["action_space"]
        action.insert(0, {"step": "clip", "low": space["low"], "high": space["high"]})
    policy: Dict[str, Any] = {
        "kind": "graph",
        "act": "output",
        "module": act.key,
        "observation": environment.observation,
    }
    policy.update(dtype=_name(sample.dtype), takes_batches=takes_batches, torch=str(torch.__version__), action=action)
    return {"environment": environment.description, "policy": policy}


def _leave_absent_gpu(torch: Any, state: State, names: Dict[str, Any]) -> None:
    """Name the CPU where a checkpoint of a training on a GPU names that, and there is none here."""
    if torch.cuda.is_available():
        return
    for slot, value in list(state.values.items()):
        if isinstance(value, torch.device) and value.type == "cuda":
            section, key, name = slot
            state.values[slot] = cpu = torch.device("cpu")
            if section == "own":
                setattr(state.live_map.by_key[key].value, name, cpu)
            elif section == "global":
                names[name] = cpu


class _WithoutChance:
    """Has torch's distributions give what is most likely, or their mean, where they are asked for a sample."""

    def __init__(self, torch: Any) -> None:
        kinds = torch.distributions
        self._changes = (
            (kinds.Normal, "sample", _sampled(lambda one: one.loc)),
            (kinds.Normal, "rsample", _sampled(lambda one: one.loc)),
            (kinds.Categorical, "sample", _sampled(lambda one: one.logits.argmax(-1))),
            (kinds.Distribution, "__init__", _unchecked(kinds.Distribution.__init__)),
        )
        self._before = [(kind, name, vars(kind)[name]) for kind, name, _ in self._changes]

    def __enter__(self) -> None:
        for kind, name, method in self._changes:
            setattr(kind, name, method)

    def __exit__(self, *_: Any) -> None:
        for kind, name, method in self._before:
            setattr(kind, name, method)


def _sampled(meaning: Callable[[Any], Any]) -> Callable[..., Any]:
    def sample(self: Any, sample_shape: Any = ()) -> Any:
        if len(sample_shape):
            raise Unrecognised("the policy draws several actions from a distribution and chooses among them")
        return meaning(self)

    return sample


def _unchecked(method: Any) -> Callable[..., None]:
    """Return the constructor of distributions without checks: they ask for numbers, which a graph does not have yet."""

    def construct(self: Any, batch_shape: Any = (), event_shape: Any = (), validate_args: Any = None) -> None:
        method(self, batch_shape, event_shape, validate_args=False)

    return construct


def _fitting(torch: Any, acts: List[Act], environment: Environment) -> Tuple[Act, Any]:
    """Return what gives the script's actions, tried, and the observations with which it was tried."""
    sample = _sample(torch, acts[0], environment, _EXAMPLES)
    answers: List[Tuple[Act, Any]] = []
    reasons: List[str] = []
    for act in acts:
        try:
            answers.append((act, _tried(torch, act, sample, environment)))
        except Unrecognised as exc:
            reasons.append(str(exc))
    if not answers:
        raise Unrecognised("; ".join(dict.fromkeys(reasons)))
    (first, actions), *others = answers
    differing = [act.key for act, other in others if not _is_equal(torch, actions, other)]
    if differing:
        raise Unrecognised(f"several policies act: {', '.join([first.key, *differing])}")
    return first, sample


def _sample(torch: Any, act: Act, environment: Environment, count: int) -> Any:
    """Return *count* made-up observations as the module gets them, in the type of its weights."""
    space = environment.description["observation_space"]
    shape = space["shape"]
    if any(step["step"] == "flatten" for step in environment.observation):
        shape = [math.prod(shape)]
    kinds = [tensor.dtype for tensor in act.module.parameters() if tensor.is_floating_point()]
    if not kinds:
        raise Unrecognised("the policy has no weights")
    generator, size = torch.Generator().manual_seed(count), (count, *shape)
    if _is_whole(space):
        numbers = torch.randint(0, 128, size, generator=generator)  # which every type of whole numbers can hold
    else:
        numbers = torch.randn(size, generator=generator)
    return numbers.to(device=next(act.module.parameters()).device, dtype=kinds[0])


def _is_whole(space: Dict[str, Any]) -> bool:
    return str(space["dtype"]).startswith(("int", "uint"))


def _tried(torch: Any, act: Act, sample: Any, environment: Environment) -> Any:
    """Return the actions that *act* gives for *sample*, after all that could make them others another time."""
    generators, parts = _print_of(rng.capture()), _print_of(act.parts)
    actions = _asked(torch, act, sample, environment)
    if _print_of(rng.capture()) != generators:
        raise Unrecognised(f"{act.called} draws random numbers, and not from a Normal or a Categorical of torch's")
    if _print_of(act.parts) != parts:
        raise Unrecognised(f"{act.called} changes its module: it has a memory")
    if not _is_equal(torch, actions, _asked(torch, act, sample, environment)):
        raise Unrecognised(f"{act.called} answers otherwise when it is asked again: it has a memory")
    rows = [_asked(torch, act, row, environment) for row in sample.split(1)]
    if not _is_equal(torch, actions, torch.cat(rows)):
        raise Unrecognised(f"{act.called} answers otherwise where several observations come as one batch")
    space = environment.description["observation_space"]
    if _is_whole(space):
        try:
            whole = act.module(sample.to(getattr(torch, space["dtype"])))
        except Exception:  # noqa: BLE001 - then the script gives it numbers with a fraction, as is done here
            return actions
        if not torch.is_tensor(whole) or not _is_equal(torch, actions, whole):
            raise Unrecognised(f"{act.called} computes otherwise with whole numbers, which the observations are")
    return actions


def _asked(torch: Any, act: Act, observations: Any, environment: Environment) -> Any:
    """Return what *act* gives, if that is an action for each of *observations*."""
    space = environment.description["action_space"]
    count = count_of_actions(space)
    try:
        actions = act.module(observations)
    except Unrecognised:
        raise
    except Exception as exc:
        raise Unrecognised(f"{act.called} cannot be asked for several observations: {_shortened(exc)}") from exc
    if not torch.is_tensor(actions):
        raise Unrecognised(f"what {act.called} gives is no tensor, but a {type(actions).__name__}")
    is_index = space["space"] == "discrete"
    expected = (len(observations),) if is_index else (len(observations), count)
    if tuple(actions.shape) != expected or actions.is_floating_point() == is_index:
        given = f"{_name(actions.dtype)} of shape {list(actions.shape)}"
        raise Unrecognised(f"what {act.called} gives for {len(observations)} observations is {given}: no action each")
    return actions


def _export(torch: Any, act: Act, sample: Any, environment: Environment, path: Path) -> Tuple[List[Any], bool]:
    """Write the graph to *path*, compare it with the module, and return the parameters with which it computes.

    Besides, whether it takes several observations at once: one whose module asks for their number does not.
    """
    takes_batches = True
    try:
        program = _recorded(torch, act, sample[:_RECORDED])
    except Exception as first:  # noqa: BLE001 - torch.export raises whatever the module makes it raise
        takes_batches = False
        try:
            program = _recorded(torch, act, sample[:1])
        except Exception:  # noqa: BLE001 - as above
            raise Unrecognised(f"torch.export cannot record {act.called}: {_shortened(first)}") from first
    torch.export.save(program, str(path))
    graph = torch.export.load(str(path)).module()
    for count in _TRIED:
        observations = _sample(torch, act, environment, count)
        rows = [observations] if takes_batches else observations.split(1)
        if not _is_equal(torch, torch.cat([graph(row) for row in rows]), act.module(observations)):
            raise Unrecognised(f"the graph of {act.called} acts otherwise than the module")
    used = {node.name for node in program.graph.nodes if node.op == "placeholder" and node.users}
    named = dict(act.module.named_parameters(remove_duplicate=False))
    weights = program.graph_signature.inputs_to_parameters
    return [named[full] for name, full in weights.items() if name in used], takes_batches


def _recorded(torch: Any, act: Act, observations: Any) -> Any:
    """Return the program of *act*: of any number of observations where several are given, else of one."""
    sizes = ({0: torch.export.Dim("batch", min=1, max=MOST_AT_ONCE)},) if len(observations) > 1 else None
    program = torch.export.export(act.module, (observations,), dynamic_shapes=sizes, strict=False)
    program.graph_module.graph.eliminate_dead_code()  # values and log-probabilities, which nobody asks for
    return program


def _print_of(value: Any) -> str:
    try:
        return Fingerprints().of(value)
    except Exception:  # noqa: BLE001 - of any class, of which a module may hold an object
        return ""


def _require_trained(state: State, parameters: List[Any]) -> None:
    """Check that an optimizer holds what the graph computes with."""
    optimizers = [live.value for live in state.live_map.by_key.values() if live.kind == "optimizer"]
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held = {id(parameter) for group in groups for parameter in group["params"]}
    if not any(id(parameter) in held for parameter in parameters):
        raise Unrecognised("no optimizer holds a weight with which the policy acts")
    names = state.live_map.key_of
    lost = [names.get(id(one), "a weight") for one in parameters if one.requires_grad and id(one) not in held]
    if lost:
        raise Unrecognised(f"no optimizer holds {', '.join(lost)}, with which the policy acts")


def _is_equal(torch: Any, ours: Any, theirs: Any) -> bool:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return False
    if not ours.is_floating_point():
        return bool(torch.equal(ours, theirs))
    return bool(torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5, equal_nan=True))


def _name(dtype: Any) -> str:
    return str(dtype).split(".")[-1]


def _shortened(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return f"{type(exc).__name__}: {lines[0] if lines else 'it says nothing'}"[:_LONGEST_REASON]
