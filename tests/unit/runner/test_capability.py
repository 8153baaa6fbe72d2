"""What a script can do, as far as its source tells: nothing is started but the question for installed modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from arena_ray.model.errors import ArenaError, ScriptNotFound, SpecError
from arena_ray.model.states import Resume
from arena_ray.runner import Capabilities, CapabilityReport, inspect_capabilities
from arena_runners.cleanrl import CleanRLRunner

Inspect = Callable[..., CapabilityReport]

HEAD = """
import tyro, nothing_of_this_name
from dataclasses import dataclass
@dataclass
class Args:
    env_id: str = "Pong-v9"
    learning_rate: float = 0.1
    num_envs: int = 4
    batch_size: int = 0
args = tyro.cli(Args)
args.batch_size = 4 * 3
envs = [object() for _ in range(args.num_envs)]
"""


@pytest.fixture
def inspect(tmp_path: Path) -> Inspect:
    """Inspect a script of this source, without a probe."""

    def make(source: str, runner: CleanRLRunner | None = None) -> CapabilityReport:
        (tmp_path / "mine.py").write_text(source)
        return inspect_capabilities("mine.py", runner=runner or CleanRLRunner(), base=tmp_path, probe=False)

    return make


def loops(report: CapabilityReport) -> list[tuple[int, str, str]]:
    found = [report.main_loop, *report.other_loops] if report.main_loop else []
    return [(one.line, one.kind, one.scope) for one in found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("while t < 9:\n    agent.update()\n", [(1, "while", "<module>")]),
        ("def main():\n    for t in x:\n        env.step()\nmain()\n", [(2, "for", "main")]),
        (
            "class Trainer:\n    def fit(self):\n        for t in x:\n            self.train()\n",
            [(3, "for", "Trainer.fit")],
        ),
        ("@wrap()\ndef train(config):\n    for t in x:\n        env.step()\n", [(3, "for", "train")]),
        (
            "for t in x:\n    agent.update()\n\nfor t in x:\n    env.step()\n    agent.update()\n",
            [(4, "for", "<module>"), (1, "for", "<module>")],
        ),
        (
            "class A:\n    def f(self):\n        for t in x:\n            a.train()\n\nfor t in x:\n    a.step()\n",
            [(6, "for", "<module>"), (3, "for", "A.f")],
        ),
        ("@repeated(1000)\ndef one_pass():\n    agent.update()\none_pass()\n", []),
        ("for t in x:\n    print(t)\n", []),
    ],
    ids=["while", "main", "method", "decorated", "two", "one-in-a-class", "made-by-a-decorator", "none"],
)
def test_every_loop_that_trains_is_told_the_main_loop_first(inspect: Inspect, source: str, expected: list) -> None:
    assert loops(inspect(source)) == expected


def test_without_a_main_loop_nothing_is_promised(inspect: Inspect) -> None:
    report = inspect(HEAD + "print(args.learning_rate)\n")
    assert (report.resume, report.resume_reason) == (Resume.NONE, "no loop of it trains")
    assert not any(one.is_live for one in report.hyperparameters)


@pytest.mark.parametrize(("promised", "resume"), [("none", "none"), ("warm", "warm"), ("exact", "warm")])
def test_nobody_is_believed_to_resume_exactly_without_a_probe(inspect: Inspect, promised: str, resume: str) -> None:
    runner = CleanRLRunner()
    runner.capabilities = replace(Capabilities(), resume=promised)  # type: ignore[arg-type]
    report = inspect("for t in x:\n    agent.update()\n", runner)
    assert report.resume == resume
    assert "nobody has looked" in str(report.resume_reason)
    assert report.policy is None
    assert "nobody has looked" in str(report.policy_reason)


def test_flags_say_whether_they_can_be_set_live_and_why_not(inspect: Inspect) -> None:
    report = inspect(HEAD + "for t in range(9):\n    agent.update(args.learning_rate)\n")
    flags = {one.name: one for one in report.hyperparameters}
    assert (flags["learning_rate"].type, flags["learning_rate"].default) == ("float", 0.1)
    assert {name for name, one in flags.items() if one.is_live} == {"env_id", "learning_rate"}
    assert flags["num_envs"].why_not == "line 12 uses it before the main loop"
    assert flags["batch_size"].why_not == "line 11 replaces whatever is given"


def test_what_the_script_needs_is_looked_up_in_its_interpreter(inspect: Inspect) -> None:
    needs = inspect(HEAD + "import os, torch\ntorch.zeros(1).cuda()\nfor t in x:\n    agent.update()\n").needs
    assert needs.imports == {"nothing_of_this_name": False, "torch": True, "tyro": True}
    assert (needs.env_id, needs.cuda) == ("Pong-v9", True)


def test_modules_beside_the_script_are_read_too(inspect: Inspect, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("import gymnasium\ndef log(w):\n    w.add_scalar('charts/x', 1)\n")
    report = inspect("import beside\nfor t in x:\n    agent.update()\n")
    assert [one.tag for one in report.metrics] == ["charts/x"]
    assert report.needs.imports == {"gymnasium": True}


def test_what_cannot_be_inspected_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ScriptNotFound, match="ppo"):
        inspect_capabilities("ppoo", runner=CleanRLRunner(), base=tmp_path)
    (tmp_path / "asking.py").write_text(HEAD.replace("int = 4", "int") + "for t in x:\n    agent.update()\n")
    with pytest.raises(SpecError, match=r"num_envs: asking\.py needs it .* a probe cannot give it"):
        inspect_capabilities("asking.py", runner=CleanRLRunner(), base=tmp_path)
    with pytest.raises(ArenaError, match="cannot be started"):
        inspect_capabilities("ppo", runner=CleanRLRunner(), interpreter=tmp_path / "python", probe=False)
