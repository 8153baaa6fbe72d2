"""Which scripts are taken for ones that were written for Gymnasium 0.29."""

import ast

import pytest

from arena_ray.harness.gymnasium_compat import is_written_for_older
from arena_runners.cleanrl import CleanRLRunner


@pytest.mark.parametrize(
    "source",
    [
        'for info in infos["final_info"]: pass',
        'if "final_info" in infos:\n    found = [info for info in infos["final_info"] if info]',
        'for i, info in enumerate(infos["final_info"]): pass',
        'for info in infos.get("final_info", []): pass',
        'returns = infos["final_info"][0]',
        'real[i] = infos["final_observation"][i]',
        "env = gym.wrappers.TransformObservation(env, lambda obs: obs.clip(-1, 1))",
    ],
)
def test_a_script_that_reads_what_0_29_gives_is_older(source: str) -> None:
    assert is_written_for_older(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        'episode = infos["final_info"]["episode"]',
        'for i in np.flatnonzero(infos["final_info"]["_episode"]): pass',
        'if "final_info" in infos: pass',
        "env = gym.wrappers.TransformObservation(env, clip, space)",
        "env = gym.wrappers.TransformObservation(env, clip, observation_space=None)",
        "envs = gym.vector.SyncVectorEnv(functions)",
        '"""In Gymnasium 0.29 this was called final_observation."""',
        # one that knows both forms
        'last = infos["final_obs"] if "final_obs" in infos else infos["final_observation"]',
        'envs = SyncVectorEnv(functions, autoreset_mode="SameStep")\nfor info in infos["final_info"]: pass',
    ],
)
def test_a_script_that_can_do_with_newer_ones_is_not(source: str) -> None:
    assert not is_written_for_older(ast.parse(source))


def test_the_shipped_scripts_are_left_in_peace() -> None:
    for path in CleanRLRunner().scripts().values():
        assert not is_written_for_older(ast.parse(path.read_text()))
