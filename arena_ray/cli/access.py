"""How a command gets at its workspace, and at whoever answers for it. Heavy imports wait until they are called."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.model.paths import Workspace
    from arena_ray.model.records import Run
    from arena_ray.model.settings import Settings
    from arena_ray.orchestrator.client import ArenaClient
    from arena_ray.orchestrator.reader import Reader, RegistryReader
    from arena_ray.plugin.catalog import Catalog


F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = "arena_ray.settings"
"""Key in the context's ``meta``: settings that options of the command give."""


def _refuse_local_plugins(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta.setdefault(_FLAGS, {})["local_plugins"] = False


def local_plugins_option(command: F) -> F:
    """Give *command* the option by which it does without the plugins that lie in folders."""
    option = click.option(
        "--no-local-plugins",
        is_flag=True,
        expose_value=False,
        callback=_refuse_local_plugins,
        help="Leave out plugins that lie as files in folders.",
    )
    return option(command)


def workspace() -> Workspace:
    """Return the workspace in force."""
    from arena_ray.model.settings import current_workspace

    return current_workspace()


def settings_in_force(**flags: Any) -> Settings:
    """Return the settings of the workspace, with what the command line gave on top."""
    from arena_ray.model.settings import load_settings

    context = click.get_current_context(silent=True)
    given = context.meta.get(_FLAGS, {}) if context else {}
    return load_settings(workspace(), flags=given | flags)[0]


def plugin_catalog() -> Catalog:
    """Return the plugins that are there: installed ones, and files in the folders that the settings name."""
    from arena_ray.plugin.catalog import Catalog
    from arena_ray.plugin.drop_in import plugin_directories

    return Catalog(plugin_directories(workspace(), settings_in_force()))


def open_reader() -> ArenaClient | RegistryReader:
    """Return whoever can answer questions: the gateway, or the registry where none is up."""
    from arena_ray.orchestrator import reader

    return reader.open_reader(workspace())


def require_client() -> ArenaClient:
    """Return a client of the gateway.

    Raises:
        ClusterUnavailable: None is up.
    """
    from arena_ray.orchestrator import reader

    return reader.require_client(workspace())


def is_offline(reader: ArenaClient | RegistryReader) -> bool:
    """Whether *reader* answers from files, so that nothing changes while one looks."""
    from arena_ray.orchestrator.reader import RegistryReader

    return isinstance(reader, RegistryReader)


def require_run(reader: Reader, name: str) -> Run:
    """Return the run of this id, name or unique prefix, where an experiment would have done as well.

    Raises:
        NotFound: None is meant, or more than one; where *name* is nearly an experiment's, says so.
    """
    try:
        return reader.run(name)
    except NotFound as exc:
        experiments = [each.name for each in reader.experiments()]
        is_ambiguous = any(name in (run.name[: len(name)], run.run_id[: len(name)]) for run in reader.runs())
        if is_ambiguous or not difflib.get_close_matches(name, experiments, cutoff=0.6):
            raise
        raise NotFound("run or experiment", name, known=experiments) from exc
