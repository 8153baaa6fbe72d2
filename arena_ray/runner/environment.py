"""Questions that only the runner's own interpreter can answer, each asked in a child process."""

from __future__ import annotations

import difflib
import functools
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from arena_ray.model.errors import ArenaError, CudaRequired, UnknownEnvironment

_TIMEOUT_S = 60.0
_MARK = "arena-answer:"

_START = f"""
import json, sys
sys.path = [entry for entry in sys.path if entry]  # not the directory that arena_ray happens to be started in
def answer(**content):
    print("\\n{_MARK}" + json.dumps(content), flush=True)
    sys.exit(0)
"""

_LOOK_UP = """
import contextlib, importlib, io, warnings
env_id, modules = sys.argv[1], sys.argv[2:]
try:
    import gymnasium
except Exception as exc:
    answer(reason=f"gymnasium cannot be imported: {exc}")
warnings.simplefilter("ignore")
silent = contextlib.redirect_stderr(io.StringIO())
def look_up():
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    with silent:
        gymnasium.envs.registration.load_env_creator(gymnasium.spec(name).entry_point)
try:
    look_up()
except Exception:
    # Packages of environments register them when the script imports them.
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception:
            pass
    try:
        look_up()
    except Exception as exc:
        answer(reason=f"{exc}", known=sorted(gymnasium.registry))
answer()
"""

_CUDA = """
try:
    import torch
except Exception as exc:
    answer(reason=f"torch cannot be imported: {exc}")
if torch.cuda.is_available():
    answer()
answer(reason="torch.cuda.is_available() is false")
"""

_MODULES = """
from importlib.util import find_spec
answer(found={name: find_spec(name) is not None for name in sys.argv[1:]})
"""

_NO_ENVIRONMENTS = {"gymnasium", "jax", "matplotlib", "numpy", "scipy", "tensorboard", "torch", "tqdm", "tyro", "wandb"}


class _NoAnswer(Exception):
    """The child ended without an answer, or did not end."""


def _ask(interpreter: str | Path, question: str, arguments: Sequence[str], *, timeout_s: float) -> dict[str, Any]:
    try:
        child = subprocess.run(
            [str(interpreter), "-c", _START + question, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as exc:
        raise _NoAnswer(f"{interpreter} did not answer within {timeout_s:g} s") from exc
    except (OSError, ValueError) as exc:
        raise _NoAnswer(f"{interpreter} cannot be started: {exc}") from exc
    for line in reversed(child.stdout.splitlines()):
        if line.startswith(_MARK):
            answer: dict[str, Any] = json.loads(line.removeprefix(_MARK))
            return answer
    last = child.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    raise _NoAnswer(f"{interpreter} ended with exit code {child.returncode}: {last[0]}")


def _near(env_id: str, known: Iterable[str]) -> list[str]:
    by_folded = {name.lower(): name for name in known}
    return [by_folded[name] for name in difflib.get_close_matches(env_id.lower(), by_folded, n=3, cutoff=0.7)]


def check_environment(
    env_id: str,
    *,
    interpreter: str | Path,
    script_registers: bool = False,
    imports: Iterable[str] = ("gymnasium",),
    timeout_s: float = _TIMEOUT_S,
) -> None:
    """Check that the interpreter's Gymnasium knows *env_id*, and can import it.

    A script that registers environments of its own, or does not use Gymnasium, is not asked for. What was known once
    is not asked for again by this process: a study asks for the same environment with each of its runs.

    Args:
        env_id: Id, with its namespace or module where it has one.
        interpreter: Python that will run the script.
        script_registers: Whether the script registers environments itself.
        imports: Modules that the script imports, but for those beside it; some of them may register environments.
        timeout_s: Seconds to wait for the answer.

    Raises:
        UnknownEnvironment: It is not known, with the nearest ids; or the interpreter gives no answer.
    """
    imports = set(imports)
    if script_registers or "gymnasium" not in imports:
        return
    _require_known(env_id, str(interpreter), tuple(sorted(imports - _NO_ENVIRONMENTS)), timeout_s)


@functools.lru_cache(maxsize=256)  # errors are not kept: what is missing may be installed meanwhile
def _require_known(env_id: str, interpreter: str, modules: tuple[str, ...], timeout_s: float) -> None:
    try:
        answer = _ask(interpreter, _LOOK_UP, [env_id, *modules], timeout_s=timeout_s)
    except _NoAnswer as exc:
        raise UnknownEnvironment(env_id, reason=str(exc)) from exc
    if reason := answer.get("reason"):
        near = [name for name in _near(env_id, answer.get("known", ())) if name != env_id]
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownEnvironment(env_id, reason=f"{reason.strip().rstrip('.')}{hint}")


def installed_modules(
    names: Iterable[str], *, interpreter: str | Path, timeout_s: float = _TIMEOUT_S
) -> dict[str, bool]:
    """Return for each of *names*, but for Python's own modules, whether *interpreter* could import it. Imports none.

    Raises:
        ArenaError: The interpreter gives no answer.
    """
    asked = sorted(set(names) - sys.stdlib_module_names)
    try:
        found: dict[str, bool] = _ask(interpreter, _MODULES, asked, timeout_s=timeout_s)["found"]
    except _NoAnswer as exc:
        raise ArenaError(f"{exc}; name another Python") from exc
    return found


def check_cuda(script: str, *, interpreter: str | Path, timeout_s: float = _TIMEOUT_S) -> None:
    """Check that torch finds CUDA in *interpreter*, for *script*, which cannot do without.

    Raises:
        CudaRequired: It finds none, with the reason.
    """
    try:
        answer = _ask(interpreter, _CUDA, [], timeout_s=timeout_s)
    except _NoAnswer as exc:
        raise CudaRequired(script, reason=str(exc)) from exc
    if reason := answer.get("reason"):
        raise CudaRequired(script, reason=reason)
