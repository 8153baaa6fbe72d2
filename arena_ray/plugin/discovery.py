"""Which plugins there are: those of the entry point group ``arena_ray.plugins``, and files dropped into folders."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from arena_ray.model.errors import SpecError, nearest
from arena_ray.model.states import Scope
from arena_ray.plugin.drop_in import drop_ins, load_drop_in
from arena_ray.plugin.registration import Plugin, plugin_of

GROUP = "arena_ray.plugins"
MODULE_SUFFIX = "_plugin"
"""How a module's name ends that is looked into where an entry point names a package."""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin, or a module that should hold some, that cannot be used, and why."""

    name: str
    source: str
    """Where it comes from: distribution and object, or files."""
    reason: str
    """Traceback, or one sentence."""


KEYS = {Scope.EXPERIMENT: "plugin", Scope.RUN: "run_plugins", Scope.REVISION: "revision_plugins"}
"""The key of an experiment file that names plugins of a scope."""


def require_usable(name: str, *, scope: Scope, scopes: Mapping[str, Scope], problems: Mapping[str, str]) -> None:
    """Raise what an experiment file is told that names a plugin which is not there or cannot be used.

    Args:
        name: The plugin's name.
        scope: The scope that it must have.
        scopes: Of the plugins that can be used.
        problems: Of those that cannot, why.

    Raises:
        SpecError: *name* is none of *scopes*, or has another scope.
    """
    if name in scopes:
        if scopes[name] is not scope:
            raise SpecError(
                f"plugin {name!r} has scope {scopes[name]}, not {scope}; "
                f"name it under the key {KEYS[scopes[name]]!r} of the experiment file"
            )
        return
    if name in problems:
        raise SpecError(f"plugin {name!r} cannot be used: {problems[name]}")
    hint = "; some cannot be used: see `arena plugins`" if problems else ""
    raise SpecError(f"no plugin {name!r}; {nearest(name, scopes)}{hint}")


class Claimant(Protocol):
    """Whatever has a name that others may claim too, and a place by which it can be told from them."""

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def place(self) -> str:
        """File and function."""
        ...


C = TypeVar("C", bound=Claimant)


def settle(found: Iterable[C]) -> tuple[dict[str, C], list[BrokenPlugin]]:
    """Return by name who has it, and what became of the names that several claim: they are given to nobody.

    What is found twice at one place is one: an alias, or a function of a module that is named as well.
    """
    claims: dict[str, dict[str, C]] = defaultdict(dict)
    for each in found:
        claims[each.name].setdefault(each.place, each)
    usable = {name: next(iter(places.values())) for name, places in sorted(claims.items()) if len(places) == 1}
    return usable, [_contested(name, places) for name, places in claims.items() if len(places) > 1]


def _contested(name: str, places: Iterable[str]) -> BrokenPlugin:
    listed = " and ".join(places)
    return BrokenPlugin(name, listed, f"{listed} claim the same name {name!r}; rename one, or remove it")


@dataclass(frozen=True)
class Source:
    """One place where plugins may be: an entry point, or a file. Nothing of it is loaded before ``load`` is called."""

    name: str
    label: str
    load: Callable[[], Iterator[Plugin | BrokenPlugin]]
    is_file: bool = False
    """Whether it is a file; its name is the path then."""


def sources(directories: Sequence[Path]) -> Iterator[Source]:
    """Yield every place where plugins are, each under a name of its own."""
    for point in sorted(entry_points(group=GROUP), key=_source):
        yield Source(f"{point.name} of {_source(point)}", point.name, partial(_load, point))
    for path in drop_ins(directories):
        yield Source(str(path), path.stem, partial(_load_file, path), is_file=True)


def find_source(name: str, directories: Sequence[Path]) -> Source:
    """Return the source of this name.

    Raises:
        SpecError: It is not there any more.
    """
    found = next((source for source in sources(directories) if source.name == name), None)
    if found is None:
        raise SpecError(f"{name} is gone, where a plugin was")
    return found


def _load_file(path: Path) -> Iterator[Plugin | BrokenPlugin]:
    module = _attempt(partial(load_drop_in, path), name=path.stem, source=str(path))
    if isinstance(module, BrokenPlugin):
        yield module
    else:
        yield from _marked(module, name=path.stem, source=str(path))


def _source(point: EntryPoint) -> str:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
    return f"{distribution} ({point.value})"


def _load(point: EntryPoint) -> Iterator[Plugin | BrokenPlugin]:
    """Yield what the entry point holds: one marked function, or those of a module or of a package's modules."""
    loaded = _attempt(point.load, name=point.name, source=_source(point))
    if isinstance(loaded, ModuleType):
        yield from _modules(loaded, point)
    elif isinstance(loaded, BrokenPlugin):
        yield loaded
    else:
        unmarked = BrokenPlugin(point.name, _source(point), f"{point.value} is not marked with @register_plugin")
        yield plugin_of(loaded) or unmarked


def _attempt(load: Callable[[], Any], *, name: str, source: str) -> Any:
    """Return what *load* returns, or why it returns nothing."""
    try:
        return load()
    except (Exception, SystemExit):  # noqa: BLE001 - somebody else's code runs here, and may even exit
        return BrokenPlugin(name, source, traceback.format_exc())


def _modules(loaded: ModuleType, point: EntryPoint) -> Iterator[Plugin | BrokenPlugin]:
    within = [each.name for each in pkgutil.iter_modules(getattr(loaded, "__path__", ()))]
    names = [name for name in within if name.endswith(MODULE_SUFFIX)]
    if not names or _plugins_in(loaded):
        yield from _marked(loaded, name=point.name, source=_source(point))
    for name in names:
        source = f"{_source(point)}, module {name}"
        load = partial(importlib.import_module, f"{loaded.__name__}.{name}")
        module = _attempt(load, name=name, source=source)
        if isinstance(module, BrokenPlugin):
            yield module
        else:
            yield from _marked(module, name=name, source=source)


def _marked(module: ModuleType, *, name: str, source: str) -> Iterator[Plugin | BrokenPlugin]:
    plugins = _plugins_in(module)
    yield from plugins
    if not plugins:
        yield BrokenPlugin(name, source, f"no function of {module.__name__} is marked with @register_plugin")


def _plugins_in(module: ModuleType) -> list[Plugin]:
    """Return the plugins whose functions *module* itself defines, in their order."""
    return [
        plugin
        for value in vars(module).values()
        if (plugin := plugin_of(value)) and value.__module__ == module.__name__
    ]
