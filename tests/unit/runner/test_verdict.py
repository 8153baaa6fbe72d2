"""What probes have found is kept, and holds only for what was probed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena_ray.model.errors import ArenaError
from arena_ray.model.states import Resume
from arena_ray.runner.verdict import LeftOut, Subject, Verdict, VerdictFiles, judge
from arena_ray.runner.versions import versions_in

SUBJECT = Subject(bundle="b" * 64, env_id="ALE/Pong-v5", interpreter="/bin/python", versions={"torch": "2.0"})
VERDICT = Verdict(subject=SUBJECT, resume=Resume.EXACT, probed_at=datetime(2026, 1, 2, tzinfo=UTC))


def test_a_verdict_is_found_again_until_a_newer_one_takes_its_place(tmp_path: Path) -> None:
    files = VerdictFiles(tmp_path / "probes")
    assert files.get(SUBJECT) is None
    path = files.keep(VERDICT)
    assert files.get(SUBJECT) == VERDICT
    worse = VERDICT.model_copy(update={"resume": Resume.WARM, "reason": "differs after a resume: x"})
    assert files.keep(worse) == path
    assert files.get(SUBJECT) == worse
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "change",
    [{"bundle": "c" * 64}, {"env_id": "Pong-v0"}, {"interpreter": "/bin/python3"}, {"versions": {"torch": "2.1"}}],
    ids=str,
)
def test_a_verdict_on_something_else_does_not_count(tmp_path: Path, change: dict) -> None:
    files = VerdictFiles(tmp_path)
    files.keep(VERDICT)
    other = SUBJECT.model_copy(update=change)
    assert files.get(other) is None
    assert files.has(other) is ("versions" in change)


def test_a_file_that_is_no_verdict_counts_as_none(tmp_path: Path) -> None:
    files = VerdictFiles(tmp_path)
    files.keep(VERDICT).write_text("{}")
    assert files.get(SUBJECT) is None


def test_only_what_lacks_nothing_and_differs_nowhere_is_exact() -> None:
    gone = (LeftOut(name="env", why="no"),)
    assert judge(left_out=(), differing=(), incomparable=None) == (Resume.EXACT, None)
    assert judge(left_out=gone, differing=(), incomparable=None) == (Resume.WARM, "not captured: env (no)")
    assert judge(left_out=(), differing=(), incomparable="E")[0] is Resume.WARM
    many = tuple(f"x{number}" for number in range(7))
    assert judge(left_out=(), differing=many, incomparable=None) == (
        Resume.WARM,
        "differs after a resume: x0, x1, x2, x3, x4, and 2 more",
    )


def test_versions_are_asked_of_the_interpreter_itself(tmp_path: Path) -> None:
    found = versions_in(sys.executable)
    assert found["python"] == sys.version.split()[0]
    assert {"torch", "gymnasium", "numpy"} <= found.keys()
    with pytest.raises(ArenaError, match="--python"):
        versions_in(tmp_path / "python")
