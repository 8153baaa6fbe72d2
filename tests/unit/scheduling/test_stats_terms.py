from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import Resources
from arena_ray.model.states import RunState
from arena_ray.runner.protocol import ScriptArgument, ScriptReport
from arena_ray.scheduling.stats_terms import known_hyperparameters, options_for

RUN = Run(
    run_id="id",
    name="CartPole-v1__ppo__3__17",
    experiment_id="e",
    experiment="x",
    revision_id="r",
    revision=2,
    runner="cleanrl",
    script="ppo",
    env_id="CartPole-v1",
    seed=3,
    state=RunState.STARTING,
    resources=Resources(),
    created_at=datetime.now(UTC),
)
SCRIPT = ScriptReport(
    None,
    (
        ScriptArgument("learning_rate", "float", 2.5e-4),
        ScriptArgument("gamma", "float", 0.99),
        ScriptArgument("batch_size", "int", 0, overwritten_line=120),
        ScriptArgument("target_kl", "float"),
        ScriptArgument("seed", "int", 1),
    ),
)


def test_hyperparameters_are_what_was_given_and_the_defaults_that_are_certain() -> None:
    known = known_hyperparameters(RUN, SCRIPT, flags={"learning_rate": 0.1})
    assert known == {"learning_rate": 0.1, "gamma": 0.99, "seed": 3}


def test_options_name_the_run_and_its_own_directory(tmp_path: Path) -> None:
    files = Workspace(tmp_path).run(RUN.name)
    options = options_for(RUN, attempt=1, checkpoint=None, files=files, hyperparameters={})
    assert options.checkpoint_settings.run_id == RUN.name
    assert options.checkpoint_settings.write_path == str(files.root)
    assert options.checkpoint_settings.resume is False
    assert (options.env_settings.seed, options.arena.revision, options.arena.attempt) == (3, 2, 1)
