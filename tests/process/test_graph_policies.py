"""A run that acts by convolutions, from its training to episodes with what was deployed of it, without Ray."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from holding import RUNNERS, SCRIPTS, until

from arena_ray.model.errors import PolicyUnusable
from arena_ray.model.paths import Workspace
from arena_ray.model.records import Run
from arena_ray.model.spec import ExperimentSpec
from arena_ray.model.states import PolicyState, Resume, RunState
from arena_ray.orchestrator.core import Orchestrator
from arena_ray.runner import preflight
from arena_ray.runner.probe import probe_environment, run_probe
from arena_ray.runner.verdict import Subject
from arena_ray.scheduling.supervision import Supervision
from arena_ray.serving.client import Answer
from arena_ray.serving.evaluation import Evaluation, evaluate
from arena_ray.serving.policy import Policy

EPISODES = 5


@pytest.fixture
def trained(core: Orchestrator) -> Run:
    """A run of pixels.py that has completed, and has played episodes at its end."""
    keys = {"experiment": "x", "runner": "cleanrl", "script": "pixels.py", "env_id": "Spots-v0"}
    spec = ExperimentSpec.model_validate(keys | {"flags": {"episodes": EPISODES}, "checkpoint": {"every_s": 60}})
    run = core.start(preflight.prepare(spec, base=SCRIPTS, runners=RUNNERS), force_new=True).run
    supervision = Supervision(core, runners=RUNNERS, node="here")
    supervision.start(run.run_id)
    try:
        progress = until(supervision, lambda progress: progress.outcome is not None)
    finally:
        supervision.close()
    assert progress.outcome is RunState.COMPLETED
    return core.assignment(run.run_id).run


def played(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Evaluation:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import spots  # noqa: F401 - registers the environment

    def act(batch: list[Any]) -> Answer:
        return Answer(action=policy.act(policy.check(batch)[0]), version=1)

    return evaluate(act, "Spots-v0", episodes=EPISODES, seed=0)


def test_it_is_deployed_by_a_graph_and_does_as_well_outside_as_inside(
    core: Orchestrator, trained: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = core.policies.deploy(trained.run_id, "spots")
    assert (version.state, version.digest) == (PolicyState.LOADING, "")
    core.policies.look_after()
    [version] = core.policies.policy("spots").versions
    assert (version.state, version.reason) == (PolicyState.SERVING, None)

    root = workspace.policy("spots", 1).root
    policy = Policy.load(root, digest=version.digest)
    inside = json.loads((workspace.run(trained.name).attempt(1) / "inside.json").read_text())
    assert list(played(policy, monkeypatch).returns) == inside
    assert min(inside) > 10  # of 20; at random it would be 5

    # the same checkpoint under another name: nothing is started, the graph is copied
    checkpoint = Path(core.assignment(trained.run_id).checkpoints[0].uri)
    (checkpoint / "resume" / "state.pkl").unlink()
    core.policies.deploy(trained.run_id, "again")
    core.policies.look_after()
    assert [one.digest for one in core.policies.policy("again").versions] == [version.digest]

    graph = root / "policy.pt2"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    with pytest.raises(PolicyUnusable, match="not those that were deployed"):
        Policy.load(root, digest=version.digest)
    graph.unlink()
    with pytest.raises(PolicyUnusable, match="not those that were deployed"):
        Policy.load(root, digest=version.digest)


@pytest.mark.slow
def test_a_probe_finds_the_graph(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "pixels.py"), "--env-id", "Spots-v0"]
    subject = Subject(bundle="b", env_id="Spots-v0", interpreter=sys.executable, versions={})
    verdict = run_probe(command, subject, env=probe_environment(os.environ), folder=tmp_path / "probe", flags={})
    assert (verdict.resume, verdict.reason) == (Resume.EXACT, None)
    assert (verdict.policy["policy"]["kind"], verdict.policy["missing"]) == ("graph", None)
