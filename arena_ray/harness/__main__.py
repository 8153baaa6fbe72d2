"""Start the harness from its directory, whatever interpreter runs it and whether arena_ray is installed there or not.

The package is loaded under a private name: the script may have modules of its own called ``session`` or ``wire``,
and it may import an installed arena_ray of another version.
"""

import sys

_HERE = sys.path.pop(0)  # `python DIRECTORY` puts it there; our tensorboard.py must not hide the real one

import importlib.util  # noqa: E402 - after the path is clean
import os  # noqa: E402

_NAME = "_arena_harness"


def _load() -> None:
    """Load this directory as the package ``_arena_harness``."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is not loaded yet
    init = os.path.join(here, "__init__.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location(_NAME, init, submodule_search_locations=[here])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


_load()
sys.exit(importlib.import_module(_NAME + ".launch").main(sys.argv[1:]))
