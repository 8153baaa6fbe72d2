"""Plugins seen from outside: their code is loaded in a process of its own, so that it can hurt nobody else.

A file that exits, hangs or patches what it likes while it is loaded ends only that process. It is asked again without
the file, which is then listed with what it did.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from arena_ray.model.errors import ArenaError
from arena_ray.model.search_space import SearchSpace
from arena_ray.plugin.description import PluginDescription
from arena_ray.plugin.discovery import require_usable
from arena_ray.plugin.schema import Schema

LOAD_TIMEOUT_S = 20.0
"""How long a file may take to be loaded, or a plugin's own check to answer."""


class HasSchema(Protocol):
    """A plugin, as far as its settings go."""

    @property
    def schema(self) -> Schema:
        """The settings that it takes."""
        ...


class Plugins(Protocol):
    """Where plugins are looked up by name."""

    def require(self, name: str) -> HasSchema:
        """Return the plugin that an experiment file names.

        Raises:
            SpecError: There is none, it cannot be used, or it is not at work on experiments.
        """
        ...


@dataclass(frozen=True)
class ListedPlugin:
    """A plugin without its code; what its own check says is asked of its process."""

    description: PluginDescription
    schema: Schema


@dataclass
class _Conversation:
    """What one process said, until it ended or fell silent."""

    answer: dict[str, Any] | None = None
    source: str | None = None
    """What it was loading at last; None before the first and after the last."""
    how: str = ""


@dataclass
class Catalog:
    """The plugins that are installed, and those dropped into *directories*."""

    directories: Sequence[Path] = ()
    timeout_s: float = LOAD_TIMEOUT_S
    _refused: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By source why it is left out, and as of which change of its file."""

    @property
    def refused(self) -> dict[str, str]:
        """The sources that are left out since they hung or left, each with the reason; until their files change."""
        return {source: why for source, (why, stamp) in self._refused.items() if stamp == _stamp(source)}

    def describe(self) -> list[PluginDescription]:
        """Return everything that was found, by name, usable or not."""
        found = self._ask()["plugins"]
        return [PluginDescription.model_validate(each) for each in found]

    def require(self, name: str) -> ListedPlugin:
        """See :class:`Plugins`."""
        found = self.describe()
        usable = {each.name: each for each in found if each.problem is None}
        require_usable(
            name,
            scopes={each.name: each.scope for each in usable.values() if each.scope},
            problems={each.name: each.problem for each in found if each.problem},
        )
        description = usable[name]
        settings = {setting.name: setting for setting in description.settings}
        check = (lambda values: self._check(name, values)) if description.has_check else None
        return ListedPlugin(description, Schema(settings, check))

    def _check(self, name: str, values: Mapping[str, Any]) -> list[str]:
        plain = {key: value.to_data() if isinstance(value, SearchSpace) else value for key, value in values.items()}
        return list(self._ask(check={"name": name, "settings": plain})["mistakes"])

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Return the answer of a process that loads the plugins; what ends it or hangs is left out from then on."""
        while True:
            said = self._talk({"directories": [str(path) for path in self.directories], **request})
            if said.answer is not None:
                return said.answer
            if said.source is None or said.source in self.refused:
                raise ArenaError(f"the plugins could not be looked at: their process {said.how}")
            self._refused[said.source] = (f"its process {said.how} while it was loaded", _stamp(said.source))

    def _talk(self, request: Mapping[str, Any]) -> _Conversation:
        process = subprocess.Popen(
            [sys.executable, "-m", "arena_ray.plugin.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
        )
        assert process.stdin is not None  # asked for with PIPE
        assert process.stdout is not None
        with process:
            try:
                process.stdin.write(json.dumps({**request, "skip": self.refused}).encode())
                process.stdin.close()
                said = _listen(process.stdout.fileno(), self.timeout_s)
                if said.answer is None and not said.how:
                    said.how = f"ended with exit code {process.wait(self.timeout_s)}"
            finally:
                process.kill()
        return said


def _stamp(source: str) -> int:
    """Return when the file that *source* is was changed last; 0 where it is none."""
    try:
        return Path(source).stat().st_mtime_ns
    except OSError:
        return 0


def _listen(fd: int, timeout_s: float) -> _Conversation:
    """Return what is said on *fd*, until it is closed or nothing has come for *timeout_s*."""
    said, pending = _Conversation(), b""
    deadline = time.monotonic() + timeout_s
    while select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(fd, 65536)
        if not chunk:
            return said
        *lines, pending = (pending + chunk).split(b"\n")
        for message in map(json.loads, lines):
            deadline = time.monotonic() + timeout_s
            said.source = message.get("source")
            said.answer = None if "source" in message else message
        if said.answer is not None:
            return said
    said.how = f"fell silent for {timeout_s:g} s"
    return said
