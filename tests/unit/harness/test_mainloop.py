import ast
import sys
import textwrap
from pathlib import Path

import pytest

from arena_ray.harness import mainloop

HARNESS = Path(mainloop.__file__).parent


def find(source):
    return mainloop.find(ast.parse(textwrap.dedent(source)))


def test_loop_at_module_level_is_found_under_the_main_guard():
    loop = find(
        """
        if __name__ == "__main__":
            with open("x") as file:
                for step in range(10):
                    env.step(0)
                    log()
        """
    )
    assert loop == (4, 6, "<module>", "for")


def test_loop_in_a_function_is_found_by_a_call_to_a_name():
    loop = find(
        """
        def train(batch): ...
        async def main():
            while True:
                train(1)
        """
    )
    assert loop == (4, 5, "main", "while")


def test_longest_of_several_training_loops_is_the_main_loop():
    loop = find(
        """
        for _ in range(3):
            env.step(0)
        try:
            for _ in range(9):
                env.step(0)

                agent.update()
        finally:
            pass
        """
    )
    assert loop.line == 5


def test_inner_loop_is_never_the_main_loop():
    loop = find(
        """
        for epoch in range(3):
            for batch in data:
                loss.backward()
        """
    )
    assert (loop.line, loop.end_line) == (2, 4)


def test_loop_in_a_method_counts_only_where_no_other_loop_trains():
    method = """
        class Trainer:
            def fit(self):
                for batch in self.data:
                    a = 1
                    b = 2
                    self.step(batch)
        """
    assert find(method).scope == "Trainer.fit"
    assert find(method + "\n        for _ in range(3):\n            trainer.step()\n").scope == "<module>"


def test_async_for_loop_says_its_kind():
    assert find("async def main():\n    async for x in stream():\n        agent.learn(x)\n").kind == "async for"


@pytest.mark.parametrize("source", ["", "x = 1", "for i in range(3):\n    print(i)", "agent.step()"])
def test_script_without_a_training_loop_has_no_main_loop(source):
    assert find(source) is None
    assert mainloop.instrument(source.encode(), "script.py") is None


def test_restorable_names_are_the_functions_own_variables():
    source = """
    counter = 0
    def main(config, *rest):
        global counter
        outer = [name for name in rest]
        def inner():
            nonlocal outer
            hidden = 1
            outer = hidden
        def loop():
            nonlocal outer
        for step, (a, b) in enumerate(rest):
            with open(a) as file:
                total = sum(x for x in rest)
            counter += 1
            config.update(step)
    """
    program = mainloop.instrument(textwrap.dedent(source).encode(), "script.py")
    assert program.writable == ["a", "b", "config", "file", "inner", "loop", "outer", "rest", "step", "total"]


def test_instrumented_code_keeps_the_line_numbers_of_the_file():
    source = b"x = 0\nfor i in range(3):\n    y = 1\n    agent.step()\n\nz = 2\n"
    program = mainloop.instrument(source, "script.py")
    names = {name: (lambda *a: None) for name in ("__arena_boundary__", "__arena_exhausted__", "__arena_ended__")}

    class Agent:
        def step(self):
            raise RuntimeError

    with pytest.raises(RuntimeError) as raised:
        exec(program.code, {**names, "__arena_loop__": iter, "agent": Agent()})
    assert raised.traceback[1].lineno + 1 == 4
    lines = {line for _, _, line in program.code.co_lines() if line}
    assert lines <= {1, 2, 3, 4, 6}


@pytest.mark.parametrize("path", sorted(HARNESS.glob("*.py")), ids=lambda path: path.name)
def test_harness_is_python_3_8_and_imports_only_the_standard_library(path):
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    roots = {name.split(".")[0] for name in imported}
    assert roots - {"cloudpickle"} <= sys.stdlib_module_names
