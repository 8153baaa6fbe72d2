"""The command about what is set: settings with their sources."""

from __future__ import annotations

from dataclasses import asdict

import click

from arena_ray.cli.access import workspace
from arena_ray.cli.output import output_options, print_json, print_table


@click.command()
@output_options
def settings(as_json: bool) -> None:
    """Print each setting with its value and its source.

    The source is the default, the workspace's arena.toml or the environment (ARENA_*).
    """
    from arena_ray.model.settings import load_settings

    sources = load_settings(workspace())[1]
    if as_json:
        print_json([asdict(each) for each in sources])
        return
    print_table(
        [
            {
                "setting": each.name,
                "value": "''" if each.value == "" else str(each.value),
                "source": each.source,
                "meaning": each.description,
            }
            for each in sources
        ],
        empty="no settings",
    )
