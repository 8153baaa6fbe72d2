from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena_ray.model.errors import SpecError
from arena_ray.model.spec import ExperimentSpec, check_name, load_spec, parse_spec
from arena_ray.model.yaml_lines import parse_located

MINIMAL = "experiment: x\nrunner: cleanrl\nscript: ppo\nenv_id: CartPole-v1\n"


def parse(text: str) -> ExperimentSpec:
    return parse_spec(parse_located(text, source="file.yaml"))


def complaint(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value)


def test_four_keys_are_enough() -> None:
    spec = parse(MINIMAL)
    assert (spec.seed, spec.resources.cpu, spec.resources.gpu, spec.checkpoint.keep_latest) == (1, 1.0, 0.0, 2)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-4", 1e-4), ("2.5e-4", 2.5e-4), ("1_000", 1000), ("3", 3), ("'1e-4'", "1e-4")]
)
def test_numbers_are_read_as_people_write_them(text: str, value: Any) -> None:
    [read] = parse(f"{MINIMAL}hyperparameters: {{x: {text}}}").hyperparameters.values()
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hyperparamters: {}\n", "file.yaml:5: 'hyperparamters' is not a key here; did you mean 'hyperparameters'?"),
        ("resources:\n  cpus: 1\n", "file.yaml:6: 'resources.cpus' is not a key here; did you mean 'cpu'?"),
        ("resources: {cpu: 0}\n", "file.yaml:5: 'resources.cpu'"),
        ("seed: -1\n", "file.yaml:5: 'seed'"),
        ("seed: one\n", "file.yaml:5: 'seed'"),
        ("hyperparameters: {x: {y: 1}}\n", "file.yaml:5: 'hyperparameters.x'"),
        ("plugin:\n  nmae: pbt\n", "file.yaml:6: 'plugin.nmae' is not a key here; did you mean 'name'?"),
        ("plugin:\n  settings: {}\n", "file.yaml:5: 'plugin.name' is missing"),
        ("plugin: {name: pbt,\n  settings: 3}\n", "file.yaml:6: 'plugin.settings'"),
        ("plugin:\n  name: a b\n", "file.yaml:6: 'plugin.name'"),
        ("plugin: pbt\n", "file.yaml:5: 'plugin' is a section of keys, such as plugin.name: … (got 'pbt')"),
        ("resources: 3\n", "file.yaml:5: 'resources' is a section of keys, such as resources.cpu: … (got 3)"),
        ("seed: 1\nseed: 2\n", "file.yaml:6: 'seed' is given twice, first on line 5"),
        ("flags: [1\n", "file.yaml:6: not valid YAML"),
    ],
)
def test_a_mistake_names_file_line_and_key(text: str, said: str) -> None:
    assert said in complaint(MINIMAL + text)


def test_all_mistakes_are_told_at_once() -> None:
    lines = complaint("experiment: x\nrunnner: cleanrl\nscript: ppo\nseed: -1\n").splitlines()
    assert len(lines) == 4  # runnner, runner, env_id, seed
    assert any("'env_id' is missing" in line for line in lines)


@pytest.mark.parametrize(
    "text", ["", "just words", "- a\n- b\n", "1: 2\n", "? {a: b}\n: c\n", "a: 2001-99-99\n", "a: &a [*a]\n"]
)
def test_what_is_no_experiment_is_refused(text: str) -> None:
    assert complaint(text)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 81, "a b"])
def test_a_name_that_would_not_make_a_good_directory_is_refused(name: str) -> None:
    assert "experiment" in complaint(MINIMAL.replace("experiment: x", f"experiment: {name!r}"))


def test_a_file_that_is_missing_or_not_text_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no experiment file"):
        load_spec(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec(tmp_path / "binary.yaml")


def test_what_it_is_deployed_as_makes_no_other_revision() -> None:
    spec = parse(MINIMAL + "deploy: {name: winner}\n")
    assert spec.deploy is not None
    assert (spec.deploy.name, spec.deploy.select) == ("winner", "best")
    assert spec.digest() == parse(MINIMAL).digest()


@pytest.mark.parametrize("deploy", ["{name: ../up}", "{name: x, select: worst}", "{select: best}", "winner"])
def test_a_deployment_of_another_form_is_refused(deploy: str) -> None:
    with pytest.raises(SpecError, match="deploy"):
        parse(MINIMAL + f"deploy: {deploy}\n")


def test_a_policy_is_named_like_all_else() -> None:
    check_name("cart-pole.v1")
    with pytest.raises(SpecError, match="'a/b' is no name for a policy"):
        check_name("a/b")


def test_the_digest_is_of_the_configuration_and_not_of_seed_or_name() -> None:
    base = parse(MINIMAL)
    assert parse(MINIMAL.replace("experiment: x", "experiment: y") + "seed: 7\n").digest() == base.digest()
    assert parse(MINIMAL + "flags: {total_timesteps: 5}\n").digest() != base.digest()


def test_a_plugin_is_named_with_its_settings_which_are_no_part_of_the_revision() -> None:
    spec = parse(MINIMAL + "plugin:\n  name: pbt\n  settings:\n    param_space: {lr: {uniform: [0, 1]}}\n")
    assert spec.plugin is not None
    assert (spec.plugin.name, spec.plugin.settings) == ("pbt", {"param_space": {"lr": {"uniform": [0, 1]}}})
    assert spec.digest() == parse(MINIMAL).digest()


words = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*", fullmatch=True)
flags = st.dictionaries(names, scalars | st.lists(scalars), max_size=4)


@given(flags=flags, seed=st.integers(min_value=0, max_value=2**31))
def test_a_specification_survives_its_file(flags: dict[str, Any], seed: int) -> None:
    spec = ExperimentSpec(experiment="x", runner="r", script="s", env_id="e", flags=flags, seed=seed)
    assert parse(json.dumps(spec.model_dump(mode="json"), ensure_ascii=False)) == spec  # JSON is YAML


@settings(max_examples=50)
@given(text=st.text())
def test_no_text_makes_the_parser_raise_anything_else(text: str) -> None:
    try:
        parse(text)
    except SpecError:
        return
