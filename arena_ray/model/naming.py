"""Names and ids of runs."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from pathlib import PurePath

from arena_ray.model.paths import safe_name


def new_id() -> str:
    """Return a fresh id: 12 hexadecimal digits, never given twice in practice (48 random bits)."""
    return secrets.token_hex(6)


def id_of(key: str) -> str:
    """Return the id that belongs to *key*, such as the name of a request: of the same form as a fresh one."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def algorithm_of(script: str) -> str:
    """Return the algorithm a script is named after: its file name without suffix."""
    return safe_name(PurePath(script).stem)


def run_name(env_id: str, script: str, seed: int, *, at: datetime, suffix: str = "") -> str:
    """Return ``<env>__<algo>__<seed>__<timestamp>`` and, where two would collide, ``-<suffix>``.

    Source: CleanRL's ``run_name``, whose timestamp has whole seconds.
    """
    name = f"{safe_name(env_id)}__{algorithm_of(script)}__{seed}__{int(at.timestamp())}"
    return f"{name}-{suffix}" if suffix else name
