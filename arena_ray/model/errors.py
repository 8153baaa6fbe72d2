"""Every error that arena_ray raises on purpose.

::

    ArenaError
    ├── SpecError (ValueError)               the experiment file, a flag or a hyperparameter is wrong
    │   ├── ScriptNotFound (LookupError)     no such shipped script, no such file
    │   ├── NoMainLoop                       nothing in the script that could be resumed
    │   ├── NotSetUp (LookupError)           the script needs an environment that was not made
    │   ├── RevisionRefused                  a plugin that looks at revisions refuses this one
    │   └── UnknownEnvironment (LookupError) the environment id is not registered
    ├── SetupFailed (RuntimeError)           a runner's own environment could not be made
    ├── MissingPackage (ImportError)         an optional package is needed and not installed
    ├── SettingsError (ValueError)           arena.toml or an ARENA_* variable is wrong
    ├── NotFound (LookupError)               no such experiment, run, checkpoint or runner
    ├── IllegalTransition (RuntimeError)     the move is not in the table of states
    ├── StaleAttempt (RuntimeError)          a newer attempt of the run has taken over
    ├── StaleDriver (RuntimeError)           a newer driver of the experiment has taken over
    ├── InfeasibleResources (RuntimeError)   no node of the cluster could ever satisfy the request
    ├── CudaRequired (RuntimeError)          the algorithm needs CUDA and there is none
    ├── RegistryError (RuntimeError)         the registry cannot be opened, read or written
    │   └── RegistryEmpty                    there is none yet, or it is being made at this moment
    ├── PluginMistake (RuntimeError)         a plugin asked its api for something that cannot be
    ├── AllRunsFailed (RuntimeError)         a study has no result: none of its runs came to a good end
    ├── CheckpointCorrupt (ValueError)       a checkpoint's files do not match their digests
    ├── PolicyUnusable (ValueError)          a checkpoint holds no policy that can act here
    ├── BadObservation (ValueError)          an observation is not of the policy's shape or type, or not finite
    ├── EndpointUnavailable (ConnectionError) a policy's endpoint could not be started, or does not answer
    └── ClusterUnavailable (ConnectionError) no gateway answers, or the cluster could not be started

Each message says what was asked, what stood in the way and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint that ends an error about an unknown *word*: the nearest known one, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names) or 'none'}"


class ArenaError(Exception):
    """Root of all errors that a caller of arena_ray may want to catch."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_error, (type(self), str(self), self.__dict__)


def rebuild_error(kind: type[ArenaError], message: str, data: dict[str, Any]) -> ArenaError:
    """Return an error of *kind* that says *message*, whatever its constructor takes: for pickle and for HTTP."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(data)
    return error


class SpecError(ArenaError, ValueError):
    """What the user wrote cannot be run as it stands."""


class ScriptNotFound(SpecError, LookupError):
    """The script is neither shipped by its runner nor a file."""

    def __init__(self, script: str, *, runner: str, known: Iterable[str]) -> None:
        hint = nearest(script, known)
        super().__init__(f"no script {script!r}: not a file, and runner {runner!r} ships none of that name; {hint}")
        self.script = script
        self.runner = runner


class NoMainLoop(SpecError):
    """The script has no loop that steps, trains, updates or back-propagates: it cannot be held, only stopped."""

    def __init__(self, script: str) -> None:
        super().__init__(
            f"{script} has no main loop, at whose passes a run is paused and a plugin steers: no outermost loop in it "
            "calls step, train, update, learn or backward; put the training into one for or while loop of the script"
        )
        self.script = script


class NotSetUp(SpecError, LookupError):
    """The script needs an environment of its runner's own, which was not made or is not whole."""

    def __init__(self, runner: str, *, reason: str) -> None:
        super().__init__(
            f"the original scripts of runner {runner!r} cannot be run: {reason}; arena runners setup {runner}"
        )
        self.runner = runner


class SetupFailed(ArenaError, RuntimeError):
    """A step of making a runner's own environment failed; what was done before it stays."""

    def __init__(self, step: str, *, reason: str) -> None:
        super().__init__(f"{step} failed: {reason}")
        self.step = step


class MissingPackage(ArenaError, ImportError):
    """What was asked for needs an optional package that is not installed."""

    def __init__(self, package: str, *, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; pip install 'arena_ray[{extra}]', or {package} alone"
        )
        self.package = package


class UnknownEnvironment(SpecError, LookupError):
    """The environment id is not registered in the runner's interpreter."""

    def __init__(self, env_id: str, *, reason: str) -> None:
        super().__init__(f"environment {env_id!r} cannot be made: {reason}")
        self.env_id = env_id


class SettingsError(ArenaError, ValueError):
    """A setting has no such name or no such value."""


class NotFound(ArenaError, LookupError):
    """Nothing of that kind has this name or id."""

    def __init__(self, kind: str, name: str, *, known: Iterable[str] = ()) -> None:
        super().__init__(f"no {kind} {name!r}; {nearest(name, known)}")
        self.kind = kind
        self.name = name


class IllegalTransition(ArenaError, RuntimeError):
    """The run is not in a state from which this move is allowed."""

    def __init__(self, run: str, *, state: str, target: str, allowed: Iterable[str] = ()) -> None:
        moves = ", ".join(sorted(allowed)) or "nothing: it has ended"
        super().__init__(f"run {run} is {state} and cannot become {target}; from here it may become {moves}")
        self.run = run
        self.state = state
        self.target = target


class StaleAttempt(ArenaError, RuntimeError):
    """An attempt that is no longer the run's newest tried to write."""

    def __init__(self, run: str, *, attempt: int, current: int) -> None:
        super().__init__(f"attempt {attempt} of run {run} is stale: attempt {current} has taken over")
        self.run = run
        self.attempt = attempt
        self.current = current


class StaleDriver(ArenaError, RuntimeError):
    """A driver that is no longer its experiment's newest asked what to do."""

    def __init__(self, experiment_id: str) -> None:
        super().__init__(f"another driver has taken over experiment {experiment_id}: end this one")
        self.experiment_id = experiment_id


class InfeasibleResources(ArenaError, RuntimeError):
    """No node, however idle, has what the run asks for."""

    def __init__(self, asked: str, *, nodes: Iterable[str]) -> None:
        have = "; ".join(nodes) or "no node at all"
        super().__init__(f"no node can ever give {asked}; the cluster has {have}. Ask for less, or add a node")
        self.asked = asked


class CudaRequired(ArenaError, RuntimeError):
    """The script cannot run without CUDA and no GPU is to be had."""

    def __init__(self, script: str, *, reason: str) -> None:
        super().__init__(
            f"{script} requires CUDA, and {reason}; ask for a GPU with resources: {{gpu: 1}} on a node that has one"
        )
        self.script = script


class RegistryError(ArenaError, RuntimeError):
    """The registry cannot be opened, read or written."""


class RegistryEmpty(RegistryError):
    """The database is there, and no registry in it: it is being made, or never was."""


class RevisionRefused(SpecError):
    """A plugin with scope revision refuses a revision; nothing was made."""

    def __init__(self, reasons: Iterable[str]) -> None:
        super().__init__("\n".join(f"revision refused by plugin {reason}" for reason in reasons))


class PluginMistake(ArenaError, RuntimeError):
    """A plugin asked its api for something that cannot be."""


class AllRunsFailed(ArenaError, RuntimeError):
    """A study has no result: none of its runs came to a good end."""

    def __init__(self, number: int, *, first: str) -> None:
        super().__init__(f"all {number} runs failed, the first of them: {first}")


class CheckpointCorrupt(ArenaError, ValueError):
    """A checkpoint's files are missing or differ from their recorded digests."""

    def __init__(self, path: str, *, reason: str) -> None:
        super().__init__(f"checkpoint {path} is not usable: {reason}")
        self.path = path


class PolicyUnusable(ArenaError, ValueError):
    """What lies there is no policy that can be read without running anything, or it does not act."""

    def __init__(self, place: str, *, reason: str) -> None:
        super().__init__(f"the policy in {place} cannot be used: {reason}")
        self.place = place
        self.reason = reason


class BadObservation(ArenaError, ValueError):
    """The policy cannot be given this observation."""

    def __init__(self, *, expected: str, got: str) -> None:
        super().__init__(f"the policy takes {expected}; got {got}")
        self.expected = expected
        self.got = got


class EndpointUnavailable(ArenaError, ConnectionError):
    """Ray Serve did not bring a policy up, or nothing answers at its address."""


class ClusterUnavailable(ArenaError, ConnectionError):
    """There is no cluster to talk to, or it could not be started."""
