"""The command about plugins: which there are, and what settings they take."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING

import click

from arena_ray.cli.output import ABSENT, output_options, print_facts, print_json, print_table
from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.plugin.description import PluginDescription
    from arena_ray.plugin.setting import Setting


@click.command()
@click.argument("name", required=False, metavar="[NAME]")
@output_options
def plugins(name: str | None, as_json: bool) -> None:
    """List the plugins, or show the settings of one.

    Of one that cannot be used it says what is wrong with it.
    """
    from arena_ray.plugin.description import describe_plugins
    from arena_ray.plugin.discovery import load_plugins

    found = describe_plugins(load_plugins())
    if name is None:
        if as_json:
            print_json(found)
        else:
            _print_list(found)
        return
    plugin = next((each for each in found if each.name == name), None)
    if plugin is None:
        raise NotFound("plugin", name, known=[each.name for each in found])
    if as_json:
        print_json(plugin)
    else:
        _print_one(plugin)


def _print_list(found: list[PluginDescription]) -> None:
    usable = [
        {"plugin": each.name, "scope": str(each.scope), "description": each.description, "origin": each.origin}
        for each in found
        if not each.problem
    ]
    print_table(usable, empty="no plugin can be used")
    for each in found:
        if each.problem:
            _print_problem(each)


def _print_problem(plugin: PluginDescription) -> None:
    click.echo(f"{plugin.name} cannot be used; it comes from {plugin.origin}")
    click.echo(indent((plugin.problem or "").rstrip(), "    "))


def _print_one(plugin: PluginDescription) -> None:
    if plugin.problem:
        _print_problem(plugin)
        return
    print_facts(
        [
            ("plugin", f"{plugin.icon} {plugin.name}".strip()),
            ("description", plugin.description),
            ("scope", str(plugin.scope)),
            ("version", f"{plugin.version}, by {plugin.author}"),
            ("tags", ", ".join(plugin.tags) or ABSENT),
            ("on by default", "yes" if plugin.enabled_by_default else "no"),
            ("origin", plugin.origin),
        ]
    )
    click.echo()
    print_table([_setting_row(setting) for setting in plugin.settings], empty="it takes no settings")


def _setting_row(setting: Setting) -> dict[str, str]:
    return {
        "setting": setting.name,
        "type": setting.type.value,
        "default": default_text(setting),
        "range": setting.limits or ABSENT,
        "meaning": setting.description or setting.label or ABSENT,
    }


def default_text(setting: Setting) -> str:
    """Return the default for people: as JSON, ``needed`` where a value must be given, ``-`` where there is none."""
    if setting.required:
        return "needed"
    return ABSENT if setting.default is None else json.dumps(setting.default, ensure_ascii=False, default=str)
