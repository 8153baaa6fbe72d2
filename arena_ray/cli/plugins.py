"""The commands about plugins: which there are, what settings they take, and letting one steer an experiment."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import local_plugins_option, plugin_catalog, settings_in_force, workspace
from arena_ray.cli.output import ABSENT, merged, output_options, print_facts, print_json, print_table
from arena_ray.model.errors import NotFound

if TYPE_CHECKING:
    from arena_ray.plugin.description import PluginDescription
    from arena_ray.plugin.setting import Setting


@click.group(invoke_without_command=True)
@local_plugins_option
@output_options
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the plugins, show the settings of one, run one, or begin one of your own.

    Of one that cannot be used it says what is wrong with it.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = plugin_catalog().describe()
    if as_json:
        print_json(found)
    else:
        _print_list(found)


@plugins.command()
@click.argument("name")
@local_plugins_option
@output_options
def show(name: str, as_json: bool) -> None:
    """Show a plugin with its settings."""
    found = plugin_catalog().describe()
    plugin = next((each for each in found if each.name == name), None)
    if plugin is None:
        raise NotFound("plugin", name, known=[each.name for each in found])
    if as_json:
        print_json(merged(plugin, form=plugin.form))
    else:
        _print_one(plugin)


@plugins.command("new")
@click.argument("name")
@click.option(
    "--scope", type=click.Choice(["experiment", "run", "revision"]), required=True, help="What it is at work on."
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write it; by default the folder 'plugins' of the workspace.",
)
@output_options
def new_plugin(name: str, scope: str, directory: Path | None, as_json: bool) -> None:
    """Write a plugin that works, with its test, to begin with.

    It is a file NAME_plugin.py and a test for it, which needs no cluster. What is there is never overwritten.
    """
    from arena_ray.cli.new_plugin import require_new_name, write_plugin
    from arena_ray.cli.plugin_templates import TEMPLATES
    from arena_ray.model.states import Scope
    from arena_ray.plugin.drop_in import plugin_directories

    require_new_name(name, taken={each.name: each.origin for each in plugin_catalog().describe()})
    target = workspace().plugins if directory is None else directory
    plugin, test = write_plugin(name, Scope(scope), target)
    if as_json:
        print_json({"plugin": str(plugin), "test": str(test)})
        return
    click.echo(f"wrote {plugin} and {test}\n")
    steps = [("change it, and test it", f"pytest {shlex.quote(str(test))}")]
    if target.resolve() not in plugin_directories(workspace(), settings_in_force()):
        steps.append(("let it be found", f"add {target.resolve()} to the setting plugin_path"))
    steps.append(("look at it", f"arena plugins show {name}"))
    steps.append(("let it work", TEMPLATES[Scope(scope)].next_step.substitute(name=name)))
    print_facts(steps)


@plugins.command("run")
@click.argument("name")
@click.option("--spec", "file", type=click.Path(path_type=Path), help="Experiment file whose script it trains.")
@click.option("--experiment", metavar="NAME", help="Experiment that it steers, from its newest revision.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the plugin, e.g. population=8."
)
@click.option("--detach", is_flag=True, help="Return as soon as the plugin is at work; its cluster stays up.")
@click.option("--keep", is_flag=True, help="Leave the cluster up that this command started.")
@click.option("--new", "force_new", is_flag=True, help="Begin another execution even if an unfinished one could go on.")
@local_plugins_option
@output_options
def run_plugin(
    name: str,
    file: Path | None,
    experiment: str | None,
    assignments: tuple[str, ...],
    detach: bool,
    keep: bool,
    force_new: bool,
    as_json: bool,
) -> None:
    """Let a plugin steer an experiment, and wait for its end.

    Give the experiment file whose script it is to train (its own plugin does not count), or an experiment that there
    is. All else is as with 'arena run'.
    """
    from arena_ray.cli.overrides import settings_of
    from arena_ray.cli.run import Watching, tune
    from arena_ray.cli.training import cluster_at_hand, prepare, total_steps

    if (file is None) == (experiment is None):
        raise click.UsageError("give either --spec FILE or --experiment NAME")
    submission = None if file is None else prepare(file, assignments, None, to_stderr=as_json, plugin=name)
    with cluster_at_hand(keep=keep or detach) as (client, is_own_cluster):
        if submission is not None:
            reply = client.start(submission, force_new=force_new)
        else:
            reply = client.run_plugin(str(experiment), name, settings_of(assignments), force_new=force_new)
        watching = Watching(
            total=total_steps(submission) if submission is not None else None,
            again=_command_again(name, file, experiment, assignments),
            is_own_cluster=is_own_cluster,
            keeps=keep,
        )
        is_well = tune(client, reply, None if detach else watching, as_json=as_json)
    click.get_current_context().exit(0 if is_well or detach else 1)


def _command_again(name: str, file: Path | None, experiment: str | None, assignments: tuple[str, ...]) -> str:
    target = ["--spec", str(file)] if file is not None else ["--experiment", str(experiment)]
    settings = [word for assignment in assignments for word in ("--set", assignment)]
    return shlex.join(["arena", "plugins", "run", name, *target, *settings])


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
