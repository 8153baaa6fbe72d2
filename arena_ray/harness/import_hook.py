"""Change a module as soon as the script imports it; nothing is imported on the script's behalf."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from typing import Any, Callable, Optional, Sequence


def when_imported(names: Sequence[str], patch: Callable[[Any], None]) -> None:
    """Have *patch* called with each module of *names*: now where it is imported already, else once it is loaded."""
    for name in names:
        if name in sys.modules:  # this process may come from one that had imported it
            patch(sys.modules[name])
    sys.meta_path.insert(0, _Finder(names, patch))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the named modules by the other finders, and patches them once they are loaded."""

    def __init__(self, names: Sequence[str], patch: Callable[[Any], None]) -> None:
        self._names = frozenset(names)
        self._patch = patch

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Any = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            spec = None if finder is self or find_spec is None else find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                self._patch_after(spec.loader)
                return spec  # type: ignore[no-any-return] # finders are duck-typed
        return None

    def _patch_after(self, loader: Any) -> None:
        load = loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            self._patch(module)

        loader.exec_module = exec_module  # of this loader alone: each module has its own
