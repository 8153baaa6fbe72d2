"""Plugins seen from outside: the code of each is loaded in a process of its own, so that it can hurt nobody else.

A file that exits, hangs or patches what it likes while it is loaded ends only that process; it is then listed with what
it did.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from arena_ray.model.errors import SpecError
from arena_ray.model.states import Scope
from arena_ray.plugin.description import PluginDescription, describe
from arena_ray.plugin.discovery import Source, require_usable, settle, sources
from arena_ray.plugin.drop_in import fingerprint
from arena_ray.plugin.schema import Schema, plain_settings

LOAD_TIMEOUT_S = 20.0
"""How long a file may take to be loaded, or a plugin's own check to answer."""

AT_ONCE = 4
"""So many are loaded side by side."""


class HasSchema(Protocol):
    """A plugin, as far as its settings go."""

    @property
    def schema(self) -> Schema:
        """The settings that it takes."""
        ...


class Plugins(Protocol):
    """Where plugins are looked up by name."""

    def require(self, name: str, *, scope: Scope = Scope.EXPERIMENT) -> HasSchema:
        """Return the plugin that an experiment file names.

        Raises:
            SpecError: There is none, it cannot be used, or it has another scope.
        """
        ...

    def describe(self) -> list[PluginDescription]:
        """Return everything that is found, by name, usable or not."""
        ...


@dataclass(frozen=True)
class ListedPlugin:
    """A plugin without its code, and the source that has it; what its own check says is asked of a process."""

    description: PluginDescription
    schema: Schema
    source: str


@dataclass(frozen=True)
class Catalog:
    """The plugins that are installed, and those dropped into *directories*, as they are at each call.

    What was loaded is remembered until a file changes that it may come from; of installed packages, for good.
    """

    directories: Sequence[Path] = ()
    timeout_s: float = LOAD_TIMEOUT_S
    _known: dict[tuple[str, str], list[PluginDescription]] = field(default_factory=dict, compare=False)

    def describe(self) -> list[PluginDescription]:
        """Return everything that is found, by name, usable or not."""
        return [description for _, description in self._look()]

    def require(self, name: str, *, scope: Scope = Scope.EXPERIMENT) -> ListedPlugin:
        """See :class:`Plugins`."""
        found = self._look()
        usable = {each.name: (source, each) for source, each in found if each.problem is None}
        require_usable(
            name,
            scope=scope,
            scopes={each.name: each.scope for _, each in usable.values() if each.scope},
            problems={each.name: each.problem for _, each in found if each.problem},
        )
        source, description = usable[name]
        settings = {setting.name: setting for setting in description.settings}
        check = partial(self._check, source, name) if description.has_check else None
        return ListedPlugin(description, Schema(settings, check), source)

    def _look(self) -> list[tuple[str, PluginDescription]]:
        """Return what each source holds, beside its name; what two claim is given to neither."""
        known = list(sources(self.directories))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            held = pool.map(self._described, known)
        found = [(source.name, each) for source, those in zip(known, held, strict=True) for each in those]
        source_of = {id(each): source for source, each in found}
        usable, contested = settle(each for _, each in found if each.problem is None)
        settled = [pair for pair in found if pair[1].problem is not None]
        settled += [(source_of[id(each)], each) for each in usable.values()]
        settled += [("", describe(broken)) for broken in contested]
        return sorted(settled, key=lambda pair: (pair[1].name, pair[1].problem is not None))

    def _described(self, source: Source) -> list[PluginDescription]:
        place = (source.name, fingerprint([Path(source.name).parent]) if source.is_file else "")
        if place not in self._known:
            answer, how = self._ask(source=source.name)
            if answer is None:  # it may do better the next time
                return [PluginDescription(name=source.label, origin=source.name, problem=f"its process {how}")]
            self._known[place] = [PluginDescription.model_validate(each) for each in answer["plugins"]]
        return self._known[place]

    def _check(self, source: str, name: str, values: Mapping[str, Any]) -> list[str]:
        answer, how = self._ask(source=source, check={"name": name, "settings": plain_settings(values)})
        if answer is None:
            raise SpecError(f"its process {how}")
        return list(answer["mistakes"])

    def _ask(self, **request: Any) -> tuple[dict[str, Any] | None, str]:
        """Return what a process answers that loads one source; or None, and what became of it."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "arena_ray.plugin.examiner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
            start_new_session=True,
        )
        assert process.stdin is not None  # asked for with PIPE
        assert process.stdout is not None
        with process:
            try:
                with suppress(BrokenPipeError):
                    process.stdin.write(json.dumps({**request, "directories": [*map(str, self.directories)]}).encode())
                    process.stdin.close()
                answer, is_silent = _listen(process.stdout.fileno(), self.timeout_s)
                if answer is not None or is_silent:
                    return answer, f"fell silent for {self.timeout_s:g} s while it was loaded"
                return None, f"ended with exit code {process.wait(self.timeout_s)} while it was loaded"
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # also what the file has started


def _listen(fd: int, timeout_s: float) -> tuple[dict[str, Any] | None, bool]:
    """Return the one JSON line that comes from *fd*, or None; and whether nothing came for *timeout_s*."""
    said = b""
    deadline = time.monotonic() + timeout_s
    while select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(fd, 65536)
        if not chunk:
            return None, False
        said += chunk
        if said.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(said)
            return answer, False
    return None, True
