"""What is said of a script without running it."""

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.runner.inspection import inspect_script


def test_the_main_loop_is_found_by_line_and_scope() -> None:
    source = "def train():\n    for step in range(3):\n        env.step(step)\n        print(step)\n"
    loop = inspect_script(source, path="a.py").main_loop
    assert loop is not None
    assert (loop.line, loop.end_line, loop.scope, loop.kind) == (2, 4, "train", "for")


def test_a_script_without_training_has_no_main_loop() -> None:
    assert inspect_script("for i in range(3):\n    print(i)\n", path="a.py").main_loop is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('device = torch.device("cuda")', True),
        ('device = torch.device("cuda:1")', True),
        ("net = net.cuda()", True),
        ('net.to("cuda")', True),
        ('x = torch.zeros(3, device="cuda")', True),
        ('device = torch.device("cuda" if torch.cuda.is_available() else "cpu")', False),
        ('if torch.cuda.is_available():\n    net = net.cuda()\n    x = torch.device("cuda")', False),
        ('device = torch.device("cuda" if args.cuda else "cpu")', False),
        ("print(args.cuda)", False),
        ('x = "cuda"', False),
    ],
)
def test_cuda_is_required_where_it_is_demanded_and_never_asked_for(line: str, expected: bool) -> None:
    assert inspect_script(line, path="a.py").requires_cuda is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import gymnasium as gym\ngym.register('X-v0', entry_point='a:b')", True),
        ("import gymnasium\ngymnasium.envs.registration.register('X-v0')", True),
        ("import atexit\natexit.register(f)\nimport gymnasium as gym\ngym.register_envs(ale_py)", True),
        ("from gymnasium.envs.registration import register as add\nadd('X-v0')", True),
        ("from gymnasium.envs import registration\nregistration.register('X-v0')", True),
        ("import atexit\natexit.register(print)\nimport gymnasium as gym\ngym.make('X-v0')", False),
        ("def register(x): ...\nregister(3)", False),
    ],
)
def test_environments_of_its_own_are_noticed(source: str, expected: bool) -> None:
    assert inspect_script(source, path="a.py").registers_environments is expected


def test_imports_are_listed_by_their_top_level_names() -> None:
    source = "import a.b, c as d\nfrom e.f import g\nfrom . import h\ndef late():\n    import i\n"
    assert inspect_script(source, path="a.py").imports == ("a", "c", "e", "i")


def test_the_same_script_is_read_once() -> None:
    source = "for i in range(3):\n    env.step(i)\n"
    assert inspect_script(source, path="a.py") is inspect_script(source, path="a.py")


def test_an_expression_too_deep_to_walk_is_a_spec_error() -> None:
    source = "for x in y:\n    env.step(" + "-" * 900 + "1)\nx: " + "a" + ".b" * 900 + "\n"
    try:
        inspect_script(source, path="deep.py")
    except SpecError as exc:
        assert "deep.py" in str(exc)  # noqa: PT017 - readable or refused, depending on the interpreter's limit
