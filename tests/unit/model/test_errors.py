from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from arena_ray.model import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ArenaError)]
EXAMPLES = [
    errors.ScriptNotFound("pppo", runner="cleanrl", known=["ppo", "dqn"]),
    errors.NoMainLoop("x.py"),
    errors.UnknownEnvironment("X-v1", reason="no"),
    errors.NotFound("run", "a", known=["b"]),
    errors.IllegalTransition("r", state="failed", target="queued"),
    errors.StaleAttempt("r", attempt=1, current=2),
    errors.StaleDriver("e"),
    errors.InfeasibleResources("gpu 9", nodes=["n"]),
    errors.CudaRequired("x.py", reason="no GPU"),
    errors.CheckpointCorrupt("/c", reason="cut short"),
    errors.SpecError("words"),
]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_module_s_text_names_every_class_with_its_second_base(kind: type[errors.ArenaError]) -> None:
    lines = (errors.__doc__ or "").splitlines()
    [line] = [line for line in lines if re.search(rf"(^|\s){kind.__name__}(\s|$)", line)] or [""]
    builtin = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
    assert line
    assert all(f"({name})" in line for name in builtin)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_between_processes(error: errors.ArenaError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


def test_the_nearest_name_is_offered_and_else_all_of_them() -> None:
    assert "did you mean 'ppo'?" in str(errors.ScriptNotFound("pppo", runner="r", known=["ppo", "dqn"]))
    assert "known: dqn, ppo" in str(errors.ScriptNotFound("zzz", runner="r", known=["ppo", "dqn"]))
    assert "known: none" in str(errors.NotFound("run", "a"))
