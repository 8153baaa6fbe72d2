"""A script that was written for Gymnasium 0.29 sees on the installed one what it would have seen there."""

import subprocess
import sys

from harness_kit import HARNESS

OLDER = """
import sys
import gymnasium as gym
import numpy as np

def make_env(index):
    def thunk():
        env = gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))
        env = gym.wrappers.TransformObservation(env, lambda observation: observation * 2)
        env.action_space.seed(index)
        return env
    return thunk

envs = gym.vector.SyncVectorEnv([make_env(index) for index in range(3)])
observations, _ = envs.reset(seed=1)
envs.action_space.seed(1)
total = np.zeros(4)
for step in range(120):
    observations, rewards, terminated, truncated, infos = envs.step(envs.action_space.sample())
    total += observations.sum(axis=0)
    assert (rewards == 1).all()
    if "final_info" in infos:
        for index, info in enumerate(infos["final_info"]):
            assert (info is None) == (not terminated[index])
            if info is not None:
                last = infos["final_observation"][index]
                # the pole of an episode that has ended lies down, that of the next one stands
                print("ended", step, index, info["episode"]["r"], info["episode"]["l"].dtype,
                      abs(last[2]) > 0.4, abs(observations[index][2]) <= 0.1)
        assert infos["_final_info"].tolist() == terminated.tolist()
print("total", total.tobytes().hex())
"""

WARM = """
import importlib.util, sys
import gymnasium
spec = importlib.util.spec_from_file_location("_arena_harness", sys.argv[1] + "/__init__.py",
                                              submodule_search_locations=[sys.argv[1]])
package = sys.modules["_arena_harness"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from _arena_harness import gymnasium_compat
gymnasium_compat.install()
exec(open(sys.argv[2]).read())
"""


def test_an_older_script_sees_episodes_and_resumes_bit_for_bit(train, tmp_path):
    control, killed = train(OLDER, name="older.py"), train(OLDER, name="older.py")
    control.wait_for("boundary", held=True)
    expected = [line for line in control.finish()[0].splitlines() if line.startswith(("ended", "total"))]
    ended = [line.split() for line in expected if line.startswith("ended")]
    assert len(ended) > 5
    assert all(line[3].startswith("[") and line[3].endswith(".]") for line in ended)
    assert {tuple(line[4:]) for line in ended} == {("int32", "True", "True")}

    killed.wait_for("boundary", held=True)
    killed.hold_at(57)
    assert killed.snapshot(tmp_path / "middle")["skipped"] == []
    killed.kill()
    again = train(OLDER, name="older.py")
    again.restore(tmp_path / "middle")
    went_on = again.finish()[0].splitlines()
    assert went_on == [line for line in expected if not line.startswith("ended") or int(line.split()[1]) >= 57]

    # where the process had imported Gymnasium before anybody knew of the script
    command = [sys.executable, "-c", WARM, str(HARNESS), str(tmp_path / "older.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines() == expected


def test_a_script_of_today_is_not_disturbed(train, tmp_path):
    newer = """
    import gymnasium as gym
    envs = gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2)
    print(envs.metadata["autoreset_mode"].name)
    for step in range(2):
        envs.reset()
        envs.step([0, 0])
    """
    trainer = train(newer)
    trainer.wait_for("boundary", held=True)
    assert trainer.finish()[0] == "NEXT_STEP\n"


def test_a_gymnasium_that_is_neither_old_nor_new_enough_is_refused(train, tmp_path):
    (tmp_path / "gymnasium.py").write_text("__version__ = '1.0.0'")
    trainer = train(OLDER)
    assert "1.0.0 cannot reset an environment in the step that ends its episode" in trainer.wait_for("error")["message"]
    assert trainer.outcome()[1].splitlines()[-1].endswith("install gymnasium==0.29.1, or 1.1 or newer")
