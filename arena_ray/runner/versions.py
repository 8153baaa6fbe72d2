"""The versions of what a script's state depends on, in whatever interpreter runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from arena_ray.model.errors import ArenaError

PACKAGES = ("torch", "gymnasium", "gym", "numpy", "mujoco", "ale-py", "box2d", "cloudpickle")
_TIMEOUT_S = 30.0

_QUESTION = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def versions_in(interpreter: str | Path) -> dict[str, str]:
    """Return the versions of Python and of those of :data:`PACKAGES` that *interpreter* has. Imports none of them.

    Raises:
        ArenaError: It cannot be started, or gives no answer.
    """
    command = [str(interpreter), "-c", _QUESTION, *PACKAGES]
    try:
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=True)
        answer: dict[str, str] = json.loads(child.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        raise ArenaError(f"{interpreter} does not run as a Python: {exc}; name one with --python") from exc
    return answer


def own_versions() -> dict[str, str]:
    """Return :func:`versions_in` of the interpreter that runs this."""
    return versions_in(sys.executable)
