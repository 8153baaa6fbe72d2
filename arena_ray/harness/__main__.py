"""Start the harness from its directory, whatever interpreter runs it and whether arena_ray is installed there or not.

The package is loaded under a private name: the script may have modules of its own called ``session`` or ``wire``,
and it may import an installed arena_ray of another version.
"""

import sys

del sys.path[0]  # `python DIRECTORY` puts it there; our tensorboard.py must not hide the real one

import importlib.util  # noqa: E402 - only now is the path clean
from pathlib import Path  # noqa: E402

_NAME = "_arena_harness"


def _load() -> None:
    """Load this directory as the package ``_arena_harness``."""
    here = Path(__file__).absolute().parent
    spec = importlib.util.spec_from_file_location(
        _NAME, str(here / "__init__.py"), submodule_search_locations=[str(here)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _load()
    launch = importlib.import_module(_NAME + ".launch")
    words = sys.argv[1:]
    if words[:1] == ["--pool"]:
        words = importlib.import_module(_NAME + ".fork_server").serve(words[1:])
    sys.exit(launch.main(words))
