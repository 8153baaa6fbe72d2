"""The process in which one source of plugins is loaded to be described: ``python -m arena_ray.plugin.examiner``.

It reads one JSON document: ``source``, ``directories``, and perhaps ``check`` (a plugin's name and settings). It writes
one JSON line: ``plugins``, or ``mistakes``. What the plugins' own code prints goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arena_ray.plugin.description import describe
from arena_ray.plugin.discovery import find_source
from arena_ray.plugin.registration import Plugin
from arena_ray.plugin.setting import TUNED


def _mistakes(plugin: Plugin, values: Mapping[str, Any]) -> list[str]:
    """Return what the plugin's own check says. Values come as JSON holds them; those that are wrong are None."""
    schema = plugin.schema
    assert schema.check is not None, "a plugin without a check of its own was asked"
    settings = {
        key: schema.settings[key].fit(value, place=key)
        if value is not None and schema.settings[key].type in TUNED
        else value
        for key, value in values.items()
    }
    try:
        return list(schema.check(settings))
    except BaseException as exc:  # noqa: BLE001 - a plugin's own code, which may not expect that a setting is missing
        if any(value is None for value in values.values()):
            return []
        return [f"the plugin's own check failed: {type(exc).__name__}: {exc}"]


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Load the source that *request* names, and return what is asked of it."""
    found = list(find_source(request["source"], [Path(each) for each in request["directories"]]).load())
    if check := request.get("check"):
        [plugin] = [each for each in found if isinstance(each, Plugin) and each.name == check["name"]]
        return {"mistakes": _mistakes(plugin, check["settings"])}
    return {"plugins": [describe(each).model_dump(mode="json") for each in found]}


def main() -> None:
    """Answer what stands on standard input."""
    say = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # plugins may print
    said = json.dumps(answer(json.load(sys.stdin))).encode() + b"\n"
    while said:
        said = said[os.write(say, said) :]
    os._exit(0)  # whatever threads the plugins have started


if __name__ == "__main__":
    main()
