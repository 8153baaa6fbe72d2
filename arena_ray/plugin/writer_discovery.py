"""Which stats writers are installed: registration functions, by the entry points of two groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from arena_ray.plugin.stats_writer import GROUP, ML_AGENTS_STATS_WRITER

_PROVIDED = {GROUP, ML_AGENTS_STATS_WRITER, "arena_ray.plugins", "arena_ray.runners"}


@dataclass(frozen=True)
class WriterSource:
    """A registration function. Nothing of it is loaded before ``load`` is called."""

    name: str
    group: str
    value: str
    """Module and function."""
    distribution: str

    def __str__(self) -> str:
        return f"{self.name} of {self.distribution}"

    def load(self) -> Callable[..., object]:
        """Return the function.

        Raises:
            BaseException: Whatever the code of its module raises.
        """
        function: Callable[..., object] = EntryPoint(self.name, self.value, self.group).load()
        return function


@dataclass(frozen=True)
class InstalledWriters:
    """All that was found, and what there is to say of the rest."""

    sources: tuple[WriterSource, ...]
    notes: tuple[str, ...] = ()


def installed_points() -> Iterator[EntryPoint]:
    """Yield the entry points for us and for ML-Agents, in whatever group of ours or theirs."""
    found = entry_points()
    for group in found.groups:
        if group.startswith(("arena_ray.", "mlagents.")):
            yield from found.select(group=group)


def find_writers(installed: Callable[[], Iterable[EntryPoint]] = installed_points) -> InstalledWriters:
    """Return the registration functions, each once, though it may be announced in both groups.

    ML-Agents' own are left out: what they write is written already, by the script and by us.
    """
    found: dict[tuple[str, str], WriterSource] = {}
    unknown: set[tuple[str, str]] = set()
    for point in installed():
        if point.value.startswith("mlagents."):
            continue
        if point.group in (GROUP, ML_AGENTS_STATS_WRITER):
            source = WriterSource(point.name, point.group, point.value, _distribution(point))
            found.setdefault((source.distribution, source.value), source)
        elif point.group not in _PROVIDED:
            unknown.add((_distribution(point), point.group))
    notes = (f"{who} is for {group}, which is no interface here: ignored" for who, group in sorted(unknown))
    return InstalledWriters(tuple(sorted(found.values(), key=str)), tuple(notes))


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
