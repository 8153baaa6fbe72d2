"""What makes a function a plugin: a mark that describes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.spec import Name
from arena_ray.model.states import Scope
from arena_ray.plugin.schema import Check, Schema, read_schema

PluginFunction = Callable[..., Any]
F = TypeVar("F", bound=PluginFunction)

MARK = "__arena_plugin__"
"""Attribute of a function that is a plugin; it holds the :class:`Plugin`."""


@dataclass(frozen=True)
class Plugin:
    """A function that steers experiments, with what its author says of it."""

    name: str
    scope: Scope
    description: str
    function: PluginFunction
    schema: Schema
    origin: str
    """The file that it stands in."""
    icon: str
    version: str
    author: str
    tags: tuple[str, ...]
    enabled_by_default: bool

    @property
    def place(self) -> str:
        """Its file and its function: two plugins that share it are one."""
        return f"{self.origin} ({self.function.__name__})"


def register_plugin(
    name: str,
    scope: str,
    *,
    description: str,
    icon: str = "⚙️",
    settings_schema: Mapping[str, Mapping[str, Any]] | None = None,
    check: Check | None = None,
    version: str = "1.0.0",
    author: str = "unknown",
    tags: Sequence[str] = (),
    enabled_by_default: bool = False,
) -> Callable[[F], F]:
    """Mark a function ``(context, api)`` as a plugin; it stays what it is and can be called as before.

    Args:
        name: Its name in experiment files.
        scope: What it is at work on: ``experiment``, ``run`` or ``revision``.
        description: One line for people.
        icon: Shown beside its name.
        settings_schema: Its settings by name, each with at least a ``type``.
        check: Returns what is wrong *between* settings; what is wrong with one of them the schema says.
        version: Its version.
        author: Who wrote it.
        tags: Words to find it by.
        enabled_by_default: Recorded and shown; a plugin runs where an experiment file names it.

    Raises:
        SpecError: One line for each mistake, when the function is marked.
    """

    def mark(function: F) -> F:
        mistakes = list(_mistakes(name, scope, description, tags=tags, function=function))
        try:
            schema = read_schema(settings_schema or {}, check=check)
        except SpecError as exc:
            mistakes += str(exc).splitlines()
        if mistakes:
            raise SpecError("\n".join(f"plugin {name!r}: {mistake}" for mistake in mistakes))
        plugin = Plugin(
            name=name,
            scope=Scope(scope),
            description=description,
            function=function,
            schema=schema,
            origin=inspect.unwrap(function).__code__.co_filename,
            icon=icon,
            version=version,
            author=author,
            tags=tuple(tags),
            enabled_by_default=enabled_by_default,
        )
        setattr(function, MARK, plugin)
        return function

    return mark


def plugin_of(value: Any) -> Plugin | None:
    """Return the plugin that *value* is, or None."""
    mark = getattr(value, MARK, None) if inspect.isfunction(value) else None
    # a decorator around a marked function copies the mark, and is what its author wants to have called
    return replace(mark, function=value) if isinstance(mark, Plugin) else None


def _mistakes(name: Any, scope: Any, description: Any, *, tags: Any, function: Any) -> Iterator[str]:
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        yield "a name has letters, digits, '.', '_' and '-', begins with a letter or a digit, and is not too long"
    if scope not in list(Scope):
        yield f"there is no scope {scope!r}; {nearest(str(scope), map(str, Scope))}"
    if not isinstance(description, str) or not description.strip() or "\n" in description.strip():
        yield "its description must be one line"
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags):
        yield f"its tags must be a list of words, not {tags!r}"
    if not inspect.isfunction(function):
        yield f"it must be a function, not {function!r}"
    elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        yield "a call of it would do nothing: write it without 'async' and 'yield'"
    elif not _takes_context_and_api(function):
        yield f"it must take (context, api), not {inspect.signature(function)}"


def _takes_context_and_api(function: PluginFunction) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    return True
