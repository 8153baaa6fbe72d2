from __future__ import annotations

import json
from typing import TYPE_CHECKING

from arena_ray.model.paths import Workspace
from arena_ray.model.states import Resume, RunState
from arena_ray.registry.store import Store

if TYPE_CHECKING:
    from conftest import AddRun, Arena


def test_the_source_alone_tells_all_but_what_a_probe_must_show(arena: Arena, workspace: Workspace) -> None:
    report = json.loads(arena("runners", "inspect", "ppo", "--no-probe", "--json").stdout)
    assert (report["runner"], report["resume"], report["verdict"]) == ("cleanrl", "warm", None)
    assert "learning_rate" in [one["name"] for one in report["hyperparameters"] if one["is_live"]]
    assert report["needs"]["env_id"] == "CartPole-v1"
    assert not workspace.probes.exists()


def test_an_unknown_runner_is_refused_with_a_name_that_is_near(arena: Arena, workspace: Workspace) -> None:
    result = arena("runners", "inspect", "ppo", "--runner", "cleanlr")
    assert result.exit_code == 1
    assert "did you mean 'cleanrl'?" in result.stderr


def test_a_run_shows_how_it_resumes(arena: Arena, add_run: AddRun, store: Store) -> None:
    run = add_run(state=RunState.RUNNING)
    store.record_resume(run.run_id, attempt=1, resume=Resume.WARM, reason="not captured: envs (TypeError: no)")
    assert "resume           warm: not captured: envs (TypeError: no)" in arena("show", run.run_id).stdout
    [listed] = json.loads(arena("runs", "--json").stdout)
    assert (listed["resume"], listed["resume_reason"]) == ("warm", "not captured: envs (TypeError: no)")
