"""When functions of interest were entered and left, in every process that has this directory on its PYTHONPATH.

Python imports a module of this name when it starts. Once a module of ``POINTS`` is loaded, its methods named there
write a line for each call into a file of the process, in the directory ``BENCH_STOPWATCH``: which, of whom, begin and
end on the machine's monotonic clock. So what is measured knows nothing of it, and both sides carry the same weight.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

Subject = Callable[[Any, Any, Any, Any], Any]


def _of_process(*_: Any) -> str:
    return Path.cwd().parent.name  # the run's directory, in which its attempts have theirs


def _of_hold(self: Any, args: Any, kwargs: Any, found: Any) -> str | None:
    return _of_process() if kwargs["held"] else None


def _of_session(self: Any, *_: Any) -> str:
    return str(self._launch.files.run_name)


POINTS: dict[str, dict[str, Subject]] = {
    "_arena_harness.session": {
        "Session._tell": _of_hold,
        "Session._snapshot": _of_process,
        "Session._attend": _of_process,
    },
    "arena_ray.runner.session": {
        "Session._hold": _of_session,
        "Session.take_over": _of_session,
        "Session.go_on": _of_session,
    },
    "arena_ray.scheduling.hold": {"Hold.arrive": lambda self, *_: self._run_id},
    "arena_ray.scheduling.trainable": {
        "RunTrainable.step": lambda self, *_: self._name,
        "RunTrainable.decide": lambda self, *_: self._name,
    },
    "arena_ray.scheduling.in_place": {"InPlacePbt.on_milestone": lambda self, args, *_: args[0].run_id},
    "arena_ray.scheduling.population": {
        "Population.decide": lambda self, args, kwargs, found: [each.clone for each in found if each.exploit]
    },
    "arena_ray.scheduling.tune_engine": {"TuneEngine.decide": lambda self, args, *_: args[0]},
    "ray.tune.schedulers.pbt": {"PopulationBasedTraining._exploit": lambda self, args, *_: args[1].trial_id},
}


def _timed(name: str, function: Callable[..., Any], subject: Subject) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        begin = time.monotonic()
        found = function(self, *args, **kwargs)
        end = time.monotonic()
        whose = subject(self, args, kwargs, found)
        if whose is not None:
            with Path(os.environ["BENCH_STOPWATCH"], f"{os.getpid()}.jsonl").open("a") as file:
                file.write(json.dumps([name, whose, begin, end, os.getpid()]) + "\n")
        return found

    return call


class _Finder:
    """Finds the modules of interest as they would be found without it, and has their methods timed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        points = POINTS.get(name)
        spec = PathFinder.find_spec(name, path, target) if points else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_timed(module: Any) -> None:
            load(module)
            for point, subject in (points or {}).items():
                owner, method = point.split(".")
                holder = getattr(module, owner)
                setattr(holder, method, _timed(point, getattr(holder, method), subject))

        spec.loader.exec_module = load_timed  # type: ignore[method-assign]
        return spec


if "BENCH_STOPWATCH" in os.environ:
    finders: list[Any] = sys.meta_path
    finders.insert(0, _Finder)
