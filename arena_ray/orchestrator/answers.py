"""What a plugin's call is answered: what was returned, or what was raised, in words that its process understands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from arena_ray.model.errors import ArenaError, PluginMistake, RegistryError, StaleDriver
from arena_ray.scheduling.plugin_port import told

log = logging.getLogger(__name__)


def answer_of(do: Callable[[], Any], method: str, *, plugin: str) -> tuple[Any, dict[str, str] | None]:
    """Return what *do* returns, and None; or None, and what it raised: class and message.

    Args:
        do: Carries the call out.
        method: The call's name, for people.
        plugin: Whose call it is.

    Raises:
        StaleDriver: Another driver has claimed the experiment since.
        RegistryError: The registry cannot be read or written now; the call may be repeated.
    """
    try:
        return do(), None
    except (StaleDriver, RegistryError):
        raise
    except ArenaError as exc:
        return None, told(exc)
    except Exception as exc:
        log.exception("call %s of plugin %s failed", method, plugin)
        return None, told(PluginMistake(f"{method} cannot be carried out: {type(exc).__name__}: {exc}"))
