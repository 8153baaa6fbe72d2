from __future__ import annotations

import ast

from arena_ray.runner.scopes import Scopes, first_name, last_name

SOURCE = """
x = 1
def outer(a, b=x):
    global y
    x = a
    y = [x for x in b]
    def inner():
        nonlocal a
        return x + a + y + z
    return lambda q: q + x
"""


def scopes_of_loads(source: str) -> dict[tuple[str, int], str | None]:
    scopes = Scopes(ast.parse(source))
    return {
        (node.id, node.lineno): (variable.scope.name if (variable := scopes.variable(node)).scope else None)
        for node in ast.walk(scopes.tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def test_a_name_refers_to_the_nearest_function_that_binds_it() -> None:
    found = scopes_of_loads(SOURCE)
    assert found["x", 3] is None  # a default is worked out where the function is defined
    assert found["a", 5] == found["x", 9] == found["a", 9] == found["x", 10] == "outer"
    assert found["y", 9] is found["z", 9] is None


def test_the_variable_of_a_comprehension_binds_nothing_around_it() -> None:
    assert scopes_of_loads("args = 1\ndef f(xs):\n    return [args for args in xs] + [args]\n")["args", 3] is None


def test_reads_and_mentions_are_found() -> None:
    scopes = Scopes(ast.parse("def f(): ...\nf()\nobj.f\nf = 3\n"))
    assert [node.lineno for node in scopes.mentions("f")] == [2, 3]
    assert [node.lineno for node in scopes.attributes("f")] == [3]


def test_the_names_at_both_ends_of_an_expression() -> None:
    call = ast.parse("torch.optim.Adam(p)", mode="eval").body
    assert (first_name(call), last_name(call)) == ("torch", "Adam")
    assert (first_name(ast.parse("3", mode="eval").body), last_name(None)) == ("", "")
