"""Gymnasium 1.1 and later, made to behave as 0.29 did, for scripts that were written for it.

The classes of Gymnasium are changed in place: environments keep their class and its name, so they are pickled,
restored and described as ever. See docs/decisions/0016-older-scripts-on-newer-gymnasium.md.
"""

from __future__ import annotations

import ast
import functools
import sys
from typing import Any, Dict, Iterator, Tuple

from .import_hook import when_imported

_SAME_STEP_SINCE = (1, 1)
_KEYS = {"final_observation": "older", "final_obs": "newer"}


class GymnasiumUnsuitable(ImportError):
    """This Gymnasium is too new for the script, and too old to be made to behave as the script expects."""


def is_written_for_older(tree: ast.Module) -> bool:
    """Return whether the script reads what vector environments of Gymnasium 0.29 give, and nothing that newer ones do.

    Signs of 0.29: the key ``final_observation``, ``infos["final_info"]`` taken as a sequence, and a
    ``TransformObservation`` that is given no space. Signs against it: ``autoreset_mode`` and the key ``final_obs``.
    """
    signs = {sign for node in ast.walk(tree) for sign in _signs(node)}
    return "older" in signs and "newer" not in signs


def _signs(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and node.value in _KEYS:
        yield _KEYS[node.value]
    elif isinstance(node, ast.keyword) and node.arg == "autoreset_mode":
        yield "newer"
    elif _takes_final_info_in_turn(node) or _transforms_without_space(node):
        yield "older"


def _takes_final_info_in_turn(node: ast.AST) -> bool:
    if isinstance(node, (ast.For, ast.comprehension)):
        return _reads_final_info(node.iter)
    return isinstance(node, ast.Subscript) and _reads_final_info(node.value) and not _is_text(node.slice)


def _transforms_without_space(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "TransformObservation":
        return False
    return len(node.args) == 2 and not node.keywords


def _reads_final_info(node: ast.expr) -> bool:
    """Return whether *node* is ``….["final_info"]`` or ``….get("final_info", …)``, or that within ``enumerate``."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("enumerate", "list", "zip"):
        return any(map(_reads_final_info, node.args))
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
        return _is_text(node.args[0], "final_info")
    return isinstance(node, ast.Subscript) and _is_text(node.slice, "final_info")


def _is_text(node: Any, text: str = "") -> bool:
    inner = getattr(node, "value", None)
    if isinstance(inner, ast.expr):  # Python 3.8 wraps what stands between the brackets
        return _is_text(inner, text)
    return isinstance(inner, str) and text in ("", inner)


def install() -> None:
    """Have Gymnasium behave as 0.29 did, whether it is imported already or the script will import it."""
    when_imported(("gymnasium",), _patch)


def _patch(gymnasium: Any) -> None:
    version = _version(gymnasium)
    if version < (1, 0):
        return
    if version < _SAME_STEP_SINCE:
        raise GymnasiumUnsuitable(
            f"the script is written for gymnasium 0.29, and {gymnasium.__version__} cannot reset an environment in the "
            "step that ends its episode; install gymnasium==0.29.1, or 1.1 or newer"
        )
    vector, wrappers = gymnasium.vector, gymnasium.wrappers
    same_step = vector.AutoresetMode.SAME_STEP
    for cls in (vector.SyncVectorEnv, vector.AsyncVectorEnv):
        cls.__init__ = _with_default(cls.__init__, "autoreset_mode", same_step)
    vector.VectorEnv._add_info = _adding_final(vector.VectorEnv._add_info)
    wrappers.RecordEpisodeStatistics.step = _recording_arrays(wrappers.RecordEpisodeStatistics.step)
    # None stands for the space of the environment inside
    wrappers.TransformObservation.__init__ = _with_default(
        wrappers.TransformObservation.__init__, "observation_space", None, position=2
    )


def _version(gymnasium: Any) -> Tuple[int, ...]:
    parts = str(gymnasium.__version__).split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


def _with_default(original: Any, name: str, value: Any, *, position: int = 99) -> Any:
    """Return an ``__init__`` that takes *value* for its argument *name* where the script gives none."""

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) <= position:
            kwargs.setdefault(name, value)
        original(self, *args, **kwargs)

    return init


def _adding_final(original: Any) -> Any:
    """Return an ``_add_info`` that keeps what belongs to an episode's end apart for each environment, or None."""

    @functools.wraps(original)
    def add_info(self: Any, vector_infos: Dict[str, Any], env_info: Dict[str, Any], env_num: int) -> Dict[str, Any]:
        if "final_info" in env_info:
            env_info = dict(env_info)
            _set_item(vector_infos, "final_observation", env_info.pop("final_obs"), env_num, self.num_envs)
            _set_item(vector_infos, "final_info", env_info.pop("final_info"), env_num, self.num_envs)
        return original(self, vector_infos, env_info, env_num)  # type: ignore[no-any-return] # not typed there

    return add_info


def _set_item(infos: Dict[str, Any], key: str, value: Any, index: int, length: int) -> None:
    numpy: Any = sys.modules["numpy"]  # gymnasium has imported it

    if key not in infos:
        infos[key] = numpy.full(length, None, dtype=object)
        infos["_" + key] = numpy.zeros(length, dtype=bool)
    infos[key][index] = value
    infos["_" + key][index] = True


def _recording_arrays(original: Any) -> Any:
    """Return a ``step`` that gives the episode's return, length and time as arrays of one element."""
    numpy: Any = sys.modules["numpy"]

    kinds = {"r": numpy.float32, "l": numpy.int32, "t": numpy.float64}

    @functools.wraps(original)
    def step(self: Any, action: Any) -> Any:
        observation, reward, terminated, truncated, info = original(self, action)
        if terminated or truncated:
            episode = info[self._stats_key]
            info[self._stats_key] = {key: numpy.array([episode[key]], dtype=kind) for key, kind in kinds.items()}
        return observation, reward, terminated, truncated, info

    return step
