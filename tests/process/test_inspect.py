"""``arena runners inspect`` as its users see it: a probe of a script, printed and kept."""

from __future__ import annotations

from click.testing import CliRunner

from arena_ray.cli.app import arena
from arena_ray.model.paths import Workspace
from arena_ray.model.states import Resume
from arena_ray.runner.verdict import Verdict

SCRIPT = """
import tyro
from dataclasses import dataclass
from tensorboardX import SummaryWriter
@dataclass
class Args:
    env_id: str = "CartPole-v1"
    seed: int = 1
    weight: float = 0.5
args = tyro.cli(Args)
writer, total, batches = SummaryWriter("runs"), {}, (number for number in range(9999))
for global_step in range(300):
    total.update({global_step: args.weight})
    writer.add_scalar("charts/next", next(batches), global_step)
for extra in range(2):
    total.update()
"""


def test_what_a_probe_finds_is_printed_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ARENA_HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(SCRIPT)
    words = ["runners", "inspect", str(tmp_path / "mine.py"), "--env-id", "Acrobot-v1"]
    printed = CliRunner().invoke(arena, words).stdout
    for said in (
        "main loop    line 12: for, in the module",
        "also trains  line 15: for, in the module; no boundary lies in it",
        "resume       warm: not captured: batches (TypeError",
        "differs after a resume: metric charts/next",
        "environment  Acrobot-v1",
        "weight  float  0.5          yes",
        "charts/next  14    yes",
    ):
        assert said in printed
    [kept] = Workspace(tmp_path).probes.iterdir()
    verdict = Verdict.model_validate_json(kept.read_text())
    assert (verdict.subject.env_id, verdict.resume, verdict.tags) == ("Acrobot-v1", Resume.WARM, ("charts/next",))
