"""The process in which plugins are loaded to be described: ``python -m arena_ray.plugin.examiner``.

It reads one JSON document: ``directories``, ``skip`` (sources that are not to be loaded, with the reasons), and perhaps
``check`` (a plugin's name and settings). It writes JSON lines: ``{"source": …}`` before it loads one, and at last the
answer, ``plugins`` or ``mistakes``. What the plugins' own code prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from arena_ray.plugin.description import describe_plugins
from arena_ray.plugin.discovery import LoadedPlugins, load_plugins
from arena_ray.plugin.setting import SettingType


def _mistakes(loaded: LoadedPlugins, name: str, values: Mapping[str, Any]) -> list[str]:
    """Return what the plugin's own check says. Values come as JSON holds them; those that are wrong are None."""
    schema = loaded.require(name).schema
    assert schema.check is not None, "a plugin without a check of its own was asked"
    settings = {
        key: schema.settings[key].fit(value, place=key)
        if value is not None and schema.settings[key].type is SettingType.SEARCH_SPACE
        else value
        for key, value in values.items()
    }
    try:
        return list(schema.check(settings))
    except Exception as exc:  # noqa: BLE001 - a plugin's own code, which may not expect that a setting is missing
        if any(value is None for value in values.values()):
            return []
        return [f"the plugin's own check failed: {type(exc).__name__}: {exc}"]


def answer(request: Mapping[str, Any], *, say: IO[str]) -> None:
    """Load what *request* asks for, and write the answer to *say*."""

    def tell(message: Mapping[str, Any]) -> None:
        say.write(json.dumps(message) + "\n")
        say.flush()

    loaded = load_plugins(
        [Path(each) for each in request["directories"]],
        skip=request["skip"],
        on_source=lambda source: tell({"source": source}),
    )
    tell({"source": None})
    if check := request.get("check"):
        tell({"mistakes": _mistakes(loaded, check["name"], check["settings"])})
    else:
        tell({"plugins": [each.model_dump(mode="json") for each in describe_plugins(loaded)]})


def main() -> None:
    """Answer what stands on standard input."""
    say = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # plugins may print
    answer(json.load(sys.stdin), say=say)
    os._exit(0)  # whatever threads the plugins have started


if __name__ == "__main__":
    main()
