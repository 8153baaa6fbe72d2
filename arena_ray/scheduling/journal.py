"""The journal of a plugin execution, read back: what its function called before its process was started anew."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from arena_ray.model.errors import PluginMistake
from arena_ray.model.records import JournalEntry
from arena_ray.scheduling.plugin_port import Call


class Journal:
    """Finds what stands at the place of a call."""

    def __init__(self, entries: Sequence[JournalEntry] = ()) -> None:
        self._entries = entries
        self._places = [entry.number for entry in entries]

    def __bool__(self) -> bool:
        return bool(self._entries)

    def recall(self, call: Call, *, where: str) -> JournalEntry | None:
        """Return what was called at this place before, or None where the journal does not reach so far.

        Args:
            call: What is called now.
            where: File and line of the call.

        Raises:
            PluginMistake: Something else was called: the function depends on more than what it is told.
        """
        if call.number is None:
            return None
        index = bisect_right(self._places, call.number) - 1
        entry = self._entries[index] if index >= 0 else None
        if entry is None or call.number > entry.number + entry.repeats:
            return None
        if (entry.method, entry.arguments) != (call.method, call.arguments):
            raise PluginMistake(
                f"call {call.number} of the plugin ({where}) is {_spelled(call.method, call.arguments)} now, and was "
                f"{_spelled(entry.method, entry.arguments)} before its process was started anew; a plugin must not "
                "depend on the time, on chance or on files that change: context and api say the same again"
            )
        return entry


def _spelled(method: str, arguments: object, *, most: int = 200) -> str:
    text = f"{method} {arguments}"
    return text if len(text) <= most else text[:most] + "…"
