"""Probes of small scripts that need no torch: what is proved, and what is named where it is not."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest

from arena_ray.model.states import Resume
from arena_ray.runner import probe as probes
from arena_ray.runner.verdict import Subject

SUBJECT = Subject(bundle="b", env_id="e", interpreter=sys.executable, versions={})

LEARNER = """
import random, time

class Learner:
    def __init__(self):
        self.random = random.Random(3)
        self.weight = 0.0
    def update(self):
        self.weight = 0.9 * self.weight + self.random.random() + random.random()
"""

EXACT = (
    LEARNER
    + """
learner, start_time, seen = Learner(), time.time(), set()
for global_step in range(400):
    learner.update()
    sps = int(global_step / (time.time() - start_time + 1e-9))
    seen.add(str(global_step))
"""
)

IN_MAIN = (
    LEARNER
    + """
def main():
    learner, t = Learner(), 0
    while t < 400:
        learner.update()
        t += 1

if __name__ == "__main__":
    main()
"""
)

GENERATOR = (
    LEARNER
    + """
batches = (number for number in range(10 ** 6))
learner = Learner()
for global_step in range(400):
    learner.update()
    learner.weight += next(batches)
"""
)

BESIDE = (
    LEARNER
    + "import beside\n"
    + """
learner = Learner()
for global_step in range(400):
    learner.update()
    learner.weight += beside.count()
"""
)

ENVIRONMENT = """
import gymnasium as gym
from gymnasium.utils import EzPickle

class Lander(gym.Env, EzPickle):
    observation_space = gym.spaces.Box(-9.0, 9.0, (1,))
    action_space = gym.spaces.Discrete(2)
    def __init__(self):
        EzPickle.__init__(self)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.turns = 0
        return self.observation_space.low, {}
    def step(self, action):
        self.turns += 1
        return self.observation_space.low + self.turns % 9, 1.0, False, False, {}

env = gym.wrappers.TimeLimit(Lander(), 1000)
env.reset(seed=1)
for global_step in range(400):
    observation = env.step(env.action_space.sample())[0]
"""

SIMULATED = """
import ale_py, gymnasium as gym, numpy as np

gym.register_envs(ale_py)
make = lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("ENV_ID"))
envs = gym.vector.SyncVectorEnv([make, make])
envs.action_space.seed(4)
obs, _ = envs.reset(seed=3)
for global_step in range(400):
    obs, rewards, *ended, infos = envs.step(envs.action_space.sample())
"""


@pytest.fixture
def probe(tmp_path):
    """Probe a script of this source."""

    def make(source, **options):
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(source))
        keys = {"env": probes.probe_environment(os.environ), "folder": tmp_path / "probe", "flags": {}} | options
        return probes.run_probe([sys.executable, str(script)], SUBJECT, **keys)

    return make


@pytest.mark.parametrize("source", [EXACT, IN_MAIN], ids=["module", "function"])
def test_a_script_whose_state_comes_back_is_exact(probe, source):
    verdict = probe(source)
    assert (verdict.resume, verdict.reason) == (Resume.EXACT, None)
    assert (verdict.left_out, verdict.differing) == ((), ())
    assert verdict.boundaries == verdict.steps == (3, 131)


def test_a_generator_is_named_and_so_is_what_it_makes_differ(probe):
    verdict = probe(GENERATOR)
    assert verdict.resume is Resume.WARM
    assert [one.name for one in verdict.left_out] == ["batches"]
    assert "generator" in verdict.left_out[0].why
    assert verdict.differing == ("learner.weight",)
    assert verdict.reason.startswith("not captured: batches (TypeError")
    assert verdict.reason.endswith("differs after a resume: learner.weight")


def test_state_of_another_module_shows_in_what_it_makes_differ(probe, tmp_path):
    (tmp_path / "beside.py").write_text("n = 0\ndef count():\n    global n\n    n += 1\n    return n\n")
    verdict = probe(BESIDE)
    assert (verdict.resume, verdict.left_out, verdict.differing) == (Resume.WARM, (), ("learner.weight",))


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Ant-v5", "Humanoid-v5", "ALE/Breakout-v5"])
def test_simulators_outside_of_python_are_exact(probe, env_id):
    verdict = probe(SIMULATED.replace("ENV_ID", env_id))
    assert (verdict.resume, verdict.reason, verdict.environments) == (Resume.EXACT, None, ("envs",))


def test_an_environment_that_cannot_be_saved_is_named_and_the_new_process_goes_on_with_its_own(probe):
    verdict = probe(ENVIRONMENT)  # made anew by its constructor alone, it could not take a step
    assert verdict.resume is Resume.WARM
    assert verdict.environments == ("env",)
    assert [one.name for one in verdict.left_out] == ["env"]
    assert "Lander keeps only its constructor arguments" in verdict.left_out[0].why
    assert verdict.differing == ("observation",)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_this_name\nfor step in range(9):\n    {}.update()\n", "No module named 'nothing_of"),
        ("def train():\n    for step in range(9):\n        {}.update()\n", "without coming to its main loop"),
        ("for step in range(2):\n    {}.update()\n", "its main loop is over at boundary 2: too soon to be probed"),
        ("import os\nfor step in range(9):\n    {}.update()\n    os._exit(7)\n", "its process ended with exit code 7"),
    ],
)
def test_a_script_that_cannot_be_probed_does_not_resume_and_says_why(probe, source, reason):
    verdict = probe(source)
    assert verdict.resume is Resume.NONE
    assert reason in verdict.reason


def test_a_script_that_makes_other_objects_the_second_time_does_not_resume(probe):
    source = """
import os
if os.path.basename(os.path.dirname(os.getcwd())) == "first":
    class Extra: pass
    extra = [Extra]
for step in range(400):
    {}.update()
"""
    verdict = probe(source)
    assert verdict.resume is Resume.NONE
    assert "a new process cannot go on from its checkpoint: " in verdict.reason
    assert "'Extra', which this script does not define" in verdict.reason


def test_a_probe_that_takes_too_long_is_ended(probe):
    verdict = probe("import time\ntime.sleep(600)\nfor step in range(9):\n    {}.update()\n", timeout_s=0.5)
    assert verdict.resume is Resume.NONE
    assert "took too long" in verdict.reason
