"""A plugin to begin with: a file that works, and its test."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from pathlib import Path

from arena_ray.cli.plugin_templates import TEMPLATES
from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.plugin.drop_in import TEST

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def require_new_name(name: str, *, taken: Mapping[str, str]) -> None:
    """Refuse a name that a plugin in a file cannot have; *taken* says where the plugins come from that there are.

    Raises:
        SpecError: It cannot have it, for this reason.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SpecError(
            f"a plugin cannot be named {name!r}: its function bears the name, so it has small letters, digits and '_', "
            "40 at most, begins with a letter, and is no word of Python's; such as 'try_rates'"
        )
    if name.startswith(TEST):
        raise SpecError(f"a plugin cannot be named {name!r}: files that begin with '{TEST}' are tests; leave that out")
    if name.endswith("_plugin"):
        short = name.removesuffix("_plugin")
        raise SpecError(f"a plugin cannot be named {name!r}: its file gets '_plugin' of itself; name it {short!r}")
    if name in taken:
        raise SpecError(f"there is a plugin named {name!r} already, from {taken[name]}; choose another name")


def write_plugin(name: str, scope: Scope, directory: Path) -> tuple[Path, Path]:
    """Write a plugin and its test into *directory*, which is made where it is missing, and return their paths.

    Raises:
        SpecError: One of the files is there already; nothing is written then.
    """
    template = TEMPLATES[scope]
    plugin = directory / f"{name}_plugin.py"
    test = directory / f"{TEST}{name}_plugin.py"
    for path in (plugin, test):
        if path.exists():
            raise SpecError(f"{path} is there already, and stays as it is; choose another name, or move it away")
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in ((plugin, template.plugin), (test, template.test)):
        with path.open("x", encoding="utf-8") as file:
            file.write(text.substitute(name=name))
    return plugin, test
