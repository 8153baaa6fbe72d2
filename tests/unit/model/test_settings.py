from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena_ray.model.errors import SettingsError
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import Settings, current_workspace, load_settings


def test_each_setting_has_a_default_and_says_where_it_came_from(tmp_path: Path) -> None:
    settings, sources = load_settings(Workspace(tmp_path), {})
    assert settings == Settings()
    assert {source.source for source in sources} == {"default"}
    assert [source.name for source in sources] == list(Settings.model_fields)
    assert all(source.description for source in sources)


@given(layers=st.tuples(*[st.none() | st.integers(1, 9)] * 3))
def test_flags_beat_the_environment_beats_the_file_beats_the_default(
    tmp_path_factory: pytest.TempPathFactory, layers: tuple[int | None, int | None, int | None]
) -> None:
    in_file, in_env, in_flags = layers
    workspace = Workspace(tmp_path_factory.mktemp("w"))
    if in_file is not None:
        workspace.settings.write_text(f"max_lost_attempts = {in_file}\n")
    env = {} if in_env is None else {"ARENA_MAX_LOST_ATTEMPTS": str(in_env)}
    settings, _ = load_settings(workspace, env, flags={"max_lost_attempts": in_flags})
    expected = next((value for value in (in_flags, in_env, in_file) if value is not None), 5)
    assert settings.max_lost_attempts == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gateway_prot = 1\n", "did you mean 'gateway_port'?"),
        ("gateway_port = 70000\n", "gateway_port"),
        ("gateway_port = \n", "cannot be read"),
    ],
)
def test_a_wrong_settings_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.settings.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings(workspace, {})
    assert str(workspace.settings) in str(caught.value)


def test_a_wrong_variable_is_told_from_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="environment: gateway_port"):
        load_settings(Workspace(tmp_path), {"ARENA_GATEWAY_PORT": "http"})


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({"RAY_ADDRESS": "10.0.0.1:6379"}, "10.0.0.1:6379"),
        ({"RAY_ADDRESS": "http://10.0.0.1:8265"}, ""),
        ({"RAY_ADDRESS": "a:1", "ARENA_RAY_ADDRESS": "b:2"}, "b:2"),
    ],
)
def test_a_job_of_a_cluster_uses_that_cluster(tmp_path: Path, env: dict[str, str], address: str) -> None:
    assert load_settings(Workspace(tmp_path), env)[0].ray_address == address


def test_the_workspace_is_arena_home_or_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert current_workspace({}).home == tmp_path
    assert current_workspace({"ARENA_HOME": "elsewhere"}).home == tmp_path / "elsewhere"
