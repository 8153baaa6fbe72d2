"""A script sees what it would see without the harness, and its end is told."""

import subprocess
import sys
import textwrap

import pytest

PLAIN = """
import dataclasses, pickle, sys
from typing import List

import beside

@dataclasses.dataclass
class Config:
    values: List[int] = dataclasses.field(default_factory=list)

for step in range(2):
    {}.update()
copy = pickle.loads(pickle.dumps(Config([1, 2])))
print(copy == Config([1, 2]), __name__, __file__, sys.argv, sys.path[0], beside.__name__)
print([name for name in sys.modules if name.split(".")[0] in ("torch", "numpy", "session", "wire", "tensorboard")])
print(__spec__, __package__, __doc__, sys.modules["__main__"].Config is Config, type(__builtins__).__name__)
"""


def run_to_the_end(train, source, *args, **options):
    trainer = train(source, *args, **options)
    trainer.wait_for("boundary", held=True)
    return trainer, trainer.finish()


def test_script_sees_no_difference(train, tmp_path):
    (tmp_path / "beside.py").write_text("")
    trainer, (output, _) = run_to_the_end(train, PLAIN, "--lr", "0.1", "--", "x")
    command = [sys.executable, str(tmp_path / "script.py"), "--lr", "0.1", "--", "x"]
    bare = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert output == bare.stdout
    assert trainer.process.returncode == 0


def test_traceback_is_the_one_that_python_prints(train, tmp_path):
    source = """
    def fail(value):
        return 1 / value

    try:
        {}["missing"]
    except KeyError:
        pass
    for step in range(4):
        {}.update()
        fail(
            2 - step
        )
    """
    trainer = train(source)
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    error = trainer.wait_for("error")
    _, errors = trainer.outcome()
    bare = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False)
    assert errors == bare.stderr == error["traceback"]
    assert (error["class"], error["message"], error["line"]) == ("ZeroDivisionError", "division by zero", 3)
    assert trainer.process.returncode == bare.returncode == 1
    assert trainer.next() is None, "nothing comes after the error"


@pytest.mark.parametrize(
    ("ending", "code", "last"),
    [
        ("sys.exit()", 0, "bye"),
        ("sys.exit(0)", 0, "bye"),
        ("sys.exit(7)", 7, "error"),
        ("sys.exit('no such environment')", 1, "error"),
        ("raise KeyboardInterrupt", 130, "error"),
    ],
)
def test_exit_code_of_the_script_stays(train, ending, code, last):
    trainer = train(f"import sys\nfor step in range(3):\n    {{}}.update()\n    {ending}\n")
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    message = trainer.wait_for(last)
    _, errors = trainer.outcome()
    assert trainer.process.returncode == code
    assert last == "bye" or message["class"] in ending or message["class"] == "SystemExit"
    assert ("no such environment" in errors) == ("environment" in ending)


def test_script_that_exits_before_its_loop_says_bye(train):
    trainer = train("import sys\nprint('usage')\nsys.exit(0)\nfor step in range(3):\n    {}.update()\n")
    bye = trainer.wait_for("bye")
    assert (bye["outcome"], bye["boundary"]) == ("completed", 0)
    assert trainer.outcome()[0] == "usage\n"


def test_script_without_a_main_loop_runs_and_its_metrics_are_told(train):
    trainer = train(
        """
        import tensorboardX
        writer = tensorboardX.SummaryWriter("runs/x")
        for step in range(3):
            writer.add_scalar("charts/episodic_return", 2.0 * step, step)
            print(f"global_step={step}, episodic_return=[{step}.]")
        """
    )
    assert trainer.wait_for("hello")["main_loop"] is None
    assert trainer.wait_for("bye")["outcome"] == "completed"
    assert trainer.rows() == [(step, "charts/episodic_return", 2.0 * step) for step in range(3)]
    assert trainer.outcome()[0].count("\n") == 3


def test_what_a_script_without_a_writer_prints_in_the_known_form_is_told(train):
    trainer = train(
        """
        print("global_step=60, episodic_return=[15.]")
        print("global_step=70, episodic_", end="")
        print("return=-0.5 and more")
        print("SPS: 5337")
        print("avg_episodic_return=3", "global_step=80, player_0-episodic_return=7", "SPS: unknown")
        print("global_step=90, episodic_return=[nan]")
        """
    )
    assert trainer.wait_for("bye")["step"] == 90
    assert trainer.rows() == [
        (60, "charts/episodic_return", 15.0),
        (70, "charts/episodic_return", -0.5),
        (70, "charts/SPS", 5337.0),
        (90, "charts/episodic_return", "NaN"),
    ]


@pytest.mark.parametrize(
    "ending", ["raise", "print('cleaned up')", "sys.exit(3)", "raise ValueError('in the clean-up')"]
)
def test_script_without_a_main_loop_is_stopped_as_by_ctrl_c(train, ending):
    trainer = train(
        f"""
        import sys, time
        try:
            print("at work", flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            {ending}
        """
    )
    trainer.wait_for("hello")
    assert trainer.process.stdout.readline() == "at work\n"
    trainer.send("stop")
    assert trainer.wait_for("bye")["outcome"] == "stopped"
    trainer.outcome()
    assert trainer.process.returncode == 0


def test_syntax_error_is_printed_as_python_prints_it(train, tmp_path):
    trainer = train("x = 1\nfor in\n")
    error = trainer.wait_for("error")
    assert (error["class"], error["line"]) == ("SyntaxError", 2)
    bare = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=False)
    assert trainer.outcome()[1] == bare.stderr
    assert trainer.process.returncode == bare.returncode == 1


def test_missing_script_is_told_in_one_line(train, tmp_path):
    trainer = train("", name="empty.py", script=tmp_path / "missing.py")
    assert trainer.wait_for("error")["class"] == "FileNotFoundError"
    errors = trainer.outcome()[1]
    assert errors.count("\n") == 1
    assert "missing.py" in errors
    assert trainer.process.returncode == 2


def test_deep_recursion_is_reported_too(train):
    trainer = train(
        textwrap.dedent(
            """
            def down(n):
                return down(n + 1)
            for step in range(3):
                {}.update()
                down(0)
            """
        )
    )
    trainer.wait_for("boundary", held=True)
    trainer.send("grant", until_step=None)
    assert trainer.wait_for("error")["class"] == "RecursionError"
    trainer.outcome()
    assert trainer.process.returncode == 1
