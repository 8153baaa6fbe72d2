"""Colours for values: along a scale where they are numbers, one each where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from arena_ray.model.spec import FlagValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTHING = "#d0d0d0"
"""Where there is no value."""
_WIDE = 30.0
"""Positive values that differ by more than this factor are told apart by their orders of magnitude."""


class Colours:
    """Maps *values* to colours; None has one of its own. Scores are told apart by their differences alone."""

    def __init__(self, values: Sequence[FlagValue], *, is_score: bool = False, is_reversed: bool = False) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm, Normalize

        present = [value for value in values if value is not None]
        self._numbers = [float(value) for value in present if _is_number(value)]  # type: ignore[arg-type]
        self._names = [] if len(self._numbers) == len(present) else sorted({str(value) for value in present})
        if self._names:
            self._map: Any = colormaps["tab20"].resampled(max(2, len(self._names)))
            self._norm: Any = Normalize(-0.5, len(self._names) - 0.5)
            return
        self._map = colormaps["viridis_r" if is_reversed else "viridis"]
        low, high = min(self._numbers, default=0.0), max(self._numbers, default=1.0)
        is_wide = not is_score and low > 0 and high / low > _WIDE
        self._norm = (LogNorm if is_wide else Normalize)(low, high if high > low else low + 1.0)

    def of(self, value: FlagValue) -> Any:
        """Return the colour of *value*."""
        if value is None:
            return NOTHING
        return self._map(self._norm(self._names.index(str(value)) if self._names else float(value)))  # type: ignore[arg-type]

    def add_bar(self, axes: Axes, *, label: str) -> None:
        """Show beside *axes* which colour means what."""
        from matplotlib.cm import ScalarMappable

        bar = axes.figure.colorbar(ScalarMappable(self._norm, self._map), ax=axes, label=label, pad=0.01, aspect=40)
        if self._names:
            bar.set_ticks(list(range(len(self._names))), labels=self._names)


def _is_number(value: FlagValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
