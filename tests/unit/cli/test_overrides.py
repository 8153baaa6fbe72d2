from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.cli.overrides import named_too, override
from arena_ray.model.errors import SpecError
from arena_ray.model.spec import ExperimentSpec, parse_spec
from arena_ray.model.yaml_lines import parse_located

TEXT = """\
experiment: demo
runner: cleanrl
script: ppo
env_id: CartPole-v1
hyperparameters: {learning_rate: 1.0e-3}
flags:
  total_timesteps: 1000
plugin:
  name: pbt
  settings:
    population: 4
    param_space:
      learning_rate: {uniform: [0, 1]}
"""


def spec_with(*assignments: str, seed: int | None = None) -> ExperimentSpec:
    return parse_spec(override(parse_located(TEXT, source="demo.yaml"), assignments, seed=seed))


@pytest.mark.parametrize(
    ("assignment", "read"),
    [
        ("env_id=Acrobot-v1", lambda spec: spec.env_id == "Acrobot-v1"),
        ("flags.total_timesteps=2000", lambda spec: spec.flags == {"total_timesteps": 2000}),
        ("flags.track=false", lambda spec: spec.flags["track"] is False),
        ("total_timesteps=2000", lambda spec: spec.flags == {"total_timesteps": 2000}),
        ("learning_rate=1e-4", lambda spec: spec.hyperparameters == {"learning_rate": 1e-4}),
        ("hyperparameters.layers=[64, 64]", lambda spec: spec.hyperparameters["layers"] == [64, 64]),
        ("resources.gpu=0.5", lambda spec: spec.resources.gpu == 0.5),
        ("flags.note=a=b", lambda spec: spec.flags["note"] == "a=b"),
        ("flags.wandb_entity=null", lambda spec: spec.flags["wandb_entity"] is None),
        ("config.model.depth=3", lambda spec: spec.config == {"model": {"depth": 3}}),
        ("plugin.settings.population=8", lambda spec: spec.plugin.settings["population"] == 8),
        ("plugin.name=hyperparameter_sweeper", lambda spec: spec.plugin.name == "hyperparameter_sweeper"),
        (
            "plugin.settings.param_space.learning_rate={loguniform: [1e-5, 1e-2]}",
            lambda spec: spec.plugin.settings["param_space"]["learning_rate"] == {"loguniform": [1e-5, 1e-2]},
        ),
        (
            "plugin.settings.param_space.learning_rate.uniform=[0.1, 0.2]",
            lambda spec: spec.plugin.settings["param_space"] == {"learning_rate": {"uniform": [0.1, 0.2]}},
        ),
        (
            "plugin.settings.param_space.gamma.choice=[0.9, 0.99]",
            lambda spec: spec.plugin.settings["param_space"].keys() == {"learning_rate", "gamma"},
        ),
    ],
)
def test_an_assignment_changes_what_it_names(assignment: str, read: Any) -> None:
    assert read(spec_with(assignment))


def test_the_last_assignment_of_a_key_counts() -> None:
    assert spec_with("seed=2", "seed=3").seed == 3


def test_the_seed_option_counts_more_than_the_file_and_set() -> None:
    assert spec_with("seed=2", seed=7).seed == 7


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("total_timesteps", "KEY=VALUE is expected"),
        ("=3", "KEY=VALUE is expected"),
        ("num_steps=3", "write flags.num_steps=… or hyperparameters.num_steps=…"),
        ("experimnt=x", "did you mean 'experiment'"),
        ("seed.x=3", "'seed' is not a section"),
        ("resources.gpus=1", "--set resources.gpus: 'resources.gpus' is not a key here; did you mean 'gpu'"),
        ("seed=-1", "--set seed: 'seed'"),
        ("plugin.setings.x=1", "--set plugin.setings.x: 'plugin.setings' is not a key here; did you mean 'settings'?"),
        ("plugin.settings.population.x=1", "'population' is not a section"),
        ("plugin=pbt", "--set plugin: 'plugin' is a section of keys, such as plugin.name: …"),
        ("flags.x=[1", "--set flags.x:1: not valid YAML"),
    ],
)
def test_a_wrong_assignment_is_an_error_that_says_so(assignment: str, said: str) -> None:
    if assignment == "seed.x=3":
        with pytest.raises(SpecError, match="not a section"):
            spec_with("seed=1", assignment)
        return
    with pytest.raises(SpecError) as caught:
        spec_with(assignment)
    assert said in str(caught.value)


def test_a_mistake_in_the_file_still_names_its_line() -> None:
    document = parse_located(TEXT.replace("script:", "skript:"), source="demo.yaml")
    with pytest.raises(SpecError, match=r"demo\.yaml:3: 'skript' is not a key here"):
        parse_spec(override(document, ["seed=3"]))


def test_a_plugin_of_which_only_settings_are_given_has_no_name() -> None:
    document = parse_located(TEXT.partition("plugin:")[0], source="demo.yaml")
    with pytest.raises(SpecError, match=r"--set plugin\.settings\.population: 'plugin\.name' is missing"):
        parse_spec(override(document, ["plugin.settings.population=8"]))


def test_the_document_that_was_read_is_left_as_it_was() -> None:
    document = parse_located(TEXT, source="demo.yaml")
    override(document, ["flags.total_timesteps=5"], seed=4)
    assert parse_spec(document).flags == {"total_timesteps": 1000}


@given(st.text(max_size=40))
def test_no_assignment_whatever_fails_otherwise_than_with_a_spec_error(text: str) -> None:
    try:
        spec_with(text)
    except SpecError as exc:
        assert str(exc)  # noqa: PT017 - nothing else may be raised


def test_a_plugin_that_looks_on_is_at_work_beside_those_of_the_file() -> None:
    document = parse_located("run_plugins: [{name: a}, {name: b, settings: {x: 1}}]", source="f")
    named = named_too("b", document, ["patience=3"], key="run_plugins")
    assert named.data == {"run_plugins": [{"name": "a"}, {"name": "b", "settings": {"patience": 3}}]}
    assert document.data["run_plugins"][1] == {"name": "b", "settings": {"x": 1}}
