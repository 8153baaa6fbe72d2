from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.plugin.registration import plugin_of, register_plugin


def steer(context: Any, api: Any) -> str:
    return f"{context} {api}"


def mistakes(function: Any = steer, **keys: Any) -> list[str]:
    keys = {"name": "mine", "scope": "experiment", "description": "mine"} | keys
    with pytest.raises(SpecError) as caught:
        register_plugin(**keys)(function)
    return str(caught.value).splitlines()


def test_a_marked_function_stays_what_it_is_and_is_a_plugin() -> None:
    @register_plugin(
        name="mine",
        scope="experiment",
        description="My awesome plugin",
        icon="🚀",
        settings_schema={"rates": {"type": "list", "default": [0.1]}},
        version="2.0",
        author="me",
        tags=["a", "b"],
        enabled_by_default=True,
    )
    def mine(context: Any, api: Any) -> str:
        return f"{context} {api}"

    assert mine("context", "api") == "context api"
    plugin = plugin_of(mine)
    assert plugin is not None
    assert plugin.function is mine
    assert (plugin.name, plugin.scope, plugin.description) == ("mine", Scope.EXPERIMENT, "My awesome plugin")
    assert (plugin.version, plugin.author, plugin.tags) == ("2.0", "me", ("a", "b"))
    assert (plugin.icon, plugin.enabled_by_default, plugin.origin) == ("🚀", True, __file__)
    assert list(plugin.schema.settings) == ["rates"]


@pytest.mark.parametrize("scope", ["experiment", "run", "revision"])
def test_every_scope_can_be_registered(scope: str) -> None:
    plugin = plugin_of(register_plugin("mine", scope, description="mine")(lambda context, api: None))
    assert plugin is not None
    assert plugin.scope == scope


def test_what_is_not_marked_is_no_plugin() -> None:
    assert plugin_of(steer) is None
    assert plugin_of(None) is None
    assert plugin_of(type("Odd", (), {"__getattr__": lambda self, name: self})()) is None


def test_a_decorator_around_a_plugin_is_called_with_it() -> None:
    def shouting(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def shout(*args: Any) -> str:
            return function(*args).upper()

        return shout

    @shouting
    @register_plugin(name="mine", scope="experiment", description="mine")
    def mine(context: Any, api: Any) -> str:
        return f"{context} {api}"

    plugin = plugin_of(mine)
    assert plugin is not None
    assert plugin.function("a", "b") == "A B"


async def asynchronous(context: Any, api: Any) -> None: ...


def generating(context: Any, api: Any) -> Any:
    yield


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"scope": "experimnet"}, "there is no scope 'experimnet'; did you mean 'experiment'?"),
        ({"description": " "}, "its description must be one line"),
        ({"description": "a\nb"}, "its description must be one line"),
        ({"tags": "sweep"}, "its tags must be a list of words, not 'sweep'"),
        ({"function": lambda context: None}, "it must take (context, api), not (context)"),
        ({"function": lambda: None}, "it must take (context, api), not ()"),
        ({"function": print}, "it must be a function, not <built-in function print>"),
        ({"function": asynchronous}, "a call of it would do nothing: write it without 'async' and 'yield'"),
        ({"function": generating}, "a call of it would do nothing: write it without 'async' and 'yield'"),
        ({"settings_schema": {"x": {"type": "it"}}}, "setting 'x': there is no type 'it'; did you mean 'int'?"),
    ],
)
def test_a_plugin_that_is_declared_wrongly_is_refused(keys: dict[str, Any], message: str) -> None:
    assert mistakes(**keys) == [f"plugin 'mine': {message}"]


@pytest.mark.parametrize("name", ["", "my plugin", "-x", "a" * 81, None])
def test_a_name_must_be_good_for_an_experiment_file(name: Any) -> None:
    [line] = mistakes(name=name)
    assert line.startswith(f"plugin {name!r}: a name has letters")


def test_all_mistakes_are_told_at_once() -> None:
    assert len(mistakes(print, scope="all", description="", tags="t", settings_schema={"x": {}, "y": {}})) == 6
