"""How anything is drawn: with matplotlib, which is imported only then, and into a file of a known form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from arena_ray.model.errors import MissingPackage, SpecError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
_DPI = 150


def require_format(path: Path) -> str:
    """Return the form that the name of *path* asks for.

    Raises:
        SpecError: It is neither PNG nor SVG.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise SpecError(
            f"cannot draw into {path}: give a file whose name ends in {' or '.join(f'.{f}' for f in FORMATS)}"
        )
    return form


def new_figure(*, width: float, height: float) -> Figure:
    """Return an empty figure, *width* and *height* in inches. It belongs to no window and to no other figure.

    Raises:
        MissingPackage: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise MissingPackage("matplotlib", purpose="drawing", extra="plots") from exc
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write *figure* to *path*: the same figure gives the same bytes.

    Raises:
        SpecError: *path* is neither PNG nor SVG, or cannot be written.
    """
    import matplotlib as mpl

    form = require_format(path)
    with mpl.rc_context({"svg.hashsalt": "arena_ray", "svg.fonttype": "none"}):
        try:
            figure.savefig(path, format=form, dpi=_DPI, metadata={"Date": None} if form == "svg" else None)
        except OSError as exc:
            raise SpecError(f"cannot draw into {path}: {exc.strerror or exc}; give another place") from exc
