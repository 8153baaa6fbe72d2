"""Which runners are installed: those of the entry point group ``arena_ray.runners``."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from arena_ray.runner.protocol import Runner

GROUP = "arena_ray.runners"


@dataclass(frozen=True)
class BrokenRunner:
    """A runner that cannot be used, and why."""

    name: str
    source: str
    """Where it comes from: distribution and object."""
    reason: str
    """Traceback, or one sentence."""


@dataclass(frozen=True)
class InstalledRunners:
    """All that was found; the broken ones hurt no other."""

    runners: Mapping[str, Runner]
    broken: tuple[BrokenRunner, ...] = ()


def _source(point: EntryPoint) -> str:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"
    return f"{distribution} ({point.value})"


def _load(point: EntryPoint) -> Runner | str:
    """Return the runner, or what is wrong with it."""
    try:
        loaded = point.load()
        runner = loaded() if isinstance(loaded, type) else loaded
        if not isinstance(runner, Runner):
            missing = [name for name in _members() if not hasattr(runner, name)]
            return f"{point.value} is no runner: it has no {', '.join(missing)}"
        if runner.name != point.name:
            return f"its entry point is called {point.name!r}, but it calls itself {runner.name!r}"
    except (Exception, SystemExit):  # noqa: BLE001 - somebody else's code runs here, and may even exit
        return traceback.format_exc()
    return runner


def _members() -> list[str]:
    return sorted(name for name in vars(Runner) if not name.startswith("_"))


def load_runners() -> InstalledRunners:
    """Load every installed runner. A name that two distributions claim is given to neither."""
    claims: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in entry_points(group=GROUP):
        claims[point.name].append(point)
    runners: dict[str, Runner] = {}
    broken: list[BrokenRunner] = []
    for name, points in sorted(claims.items()):
        sources = " and ".join(sorted(map(_source, points)))
        loaded = _load(points[0]) if len(points) == 1 else f"{sources} both claim the name {name!r}; uninstall one"
        if isinstance(loaded, str):
            broken.append(BrokenRunner(name, sources, loaded))
        else:
            runners[name] = loaded
    return InstalledRunners(runners, tuple(broken))
