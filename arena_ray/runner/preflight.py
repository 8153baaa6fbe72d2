"""Everything that can be checked before a run is queued, without starting anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from arena_ray.model.errors import CudaRequired, NoMainLoop, ScriptNotFound, SpecError, nearest
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import current_workspace
from arena_ray.model.spec import ExperimentSpec, FlagValue, Strict
from arena_ray.runner.arguments import FILE_KEYS, check_flags
from arena_ray.runner.bundle import Bundle, read_bundle
from arena_ray.runner.installation import is_upstream, require_installation
from arena_ray.runner.protocol import Installable, Runner, ScriptReport
from arena_ray.runner.source import read_source

TOTALS = ("total_timesteps", "max_timesteps")
"""Flags that say how long a script trains."""


class Submission(Strict):
    """A checked experiment. ``flags`` are all that the script is given, but for ``env_id`` and ``seed``."""

    spec: ExperimentSpec
    bundle: Bundle
    flags: dict[str, FlagValue]
    report: ScriptReport
    warnings: tuple[str, ...] = ()


def require_runner(name: str, runners: Mapping[str, Runner]) -> Runner:
    """Return the installed runner of this name.

    Raises:
        SpecError: There is none.
    """
    if name not in runners:
        raise SpecError(f"no runner {name!r}; {nearest(name, runners)}")
    return runners[name]


def read_script(script: str, runner: Runner, *, base: Path, workspace: Workspace) -> Bundle:
    """Return *script* with what it imports: the name of one that *runner* ships or was set up for, or a path.

    Args:
        script: As an experiment file names it.
        runner: The family that it belongs to.
        base: Where a relative path begins; the working directory is tried besides.
        workspace: Where the runners' own environments are.

    Raises:
        ScriptNotFound: There is no such script.
        SpecError: It cannot be read.
        NotSetUp: It is an original script, and the runner's environment was not made.
    """
    if is_upstream(script) and isinstance(runner, Installable):
        installation = require_installation(workspace, runner.name)
        known = installation.script_files()
        if script not in known:
            raise ScriptNotFound(script, runner=runner.name, known=[*runner.scripts(), *known])
        return read_bundle(known[script], root=Path(installation.repository))
    return read_bundle(_find_script(script, runner, base=base))


def _find_script(script: str, runner: Runner, *, base: Path) -> Path:
    shipped = runner.scripts()
    if script in shipped:
        return shipped[script]
    try:
        given = Path(script).expanduser()
        for path in (base / given, given):
            if path.is_file():
                return path
    except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, an unknown ~user: no file either
        pass
    raise ScriptNotFound(script, runner=runner.name, known=shipped)


def inspect_bundle(bundle: Bundle, runner: Runner, *, script: str) -> ScriptReport:
    """Return the report on the script; environments and imports are those of all its files.

    Raises:
        SpecError: One of them cannot be read as a script.
    """
    report = runner.inspect(bundle.files[bundle.entry], path=script)
    others = [runner.inspect(text, path=name) for name, text in bundle.files.items() if name != bundle.entry]
    beside = {PurePosixPath(name).parts[0].removesuffix(".py") for name in bundle.files}
    imported = {name for one in (report, *others) for name in one.imports}
    return replace(
        report,
        registers_environments=any(one.registers_environments for one in (report, *others)),
        imports=tuple(sorted(imported - beside)),
    )


def _warnings(spec: ExperimentSpec, report: ScriptReport) -> tuple[str, ...]:
    declared = {argument.name for argument in report.arguments}
    values = {"env_id": spec.env_id, "seed": spec.seed}
    found = [
        f"{spec.script} has no flag {key!r}: {values[key]!r} is recorded, but not given to it"
        for key in FILE_KEYS
        if key not in declared
    ]
    if report.main_loop is None:
        found.append(f"{spec.script} has no main loop: it runs and can be stopped, but not paused or resumed")
    return tuple(found)


def _check(spec: ExperimentSpec, bundle: Bundle, runner: Runner) -> Submission:
    if spec.config and not runner.capabilities.has_config:
        raise SpecError(f"runner {spec.runner!r} takes no 'config'; its scripts have flags and hyperparameters only")
    report = inspect_bundle(bundle, runner, script=spec.script)
    if report.main_loop is None and spec.plugin is not None:
        raise NoMainLoop(spec.script)
    flags = check_flags(
        report.arguments,
        script=spec.script,
        hyperparameters=spec.hyperparameters,
        flags=spec.flags,
        gpu=spec.resources.gpu,
    )
    if report.requires_cuda and spec.resources.gpu == 0:
        raise CudaRequired(spec.script, reason="the experiment asks for no GPU")
    return Submission(spec=spec, bundle=bundle, flags=flags, report=report, warnings=_warnings(spec, report))


def prepare(
    spec: ExperimentSpec, *, base: Path, runners: Mapping[str, Runner], workspace: Workspace | None = None
) -> Submission:
    """Find the script of *spec*, read it with what it imports, and check it and its flags.

    Args:
        spec: The experiment file.
        base: Directory of that file; a script's path is relative to it, or else to the working directory.
        runners: Installed runners by name.
        workspace: Where the runners' own environments are; by default the one of this process.

    Raises:
        SpecError: Runner, script or flags are wrong; :class:`ScriptNotFound` and :class:`NoMainLoop` among them.
        CudaRequired: The script cannot do without CUDA, and no GPU is asked for.
    """
    runner = require_runner(spec.runner, runners)
    bundle = read_script(spec.script, runner, base=base, workspace=workspace or current_workspace())
    return _check(spec, bundle, runner)


def recheck(submission: Submission, *, runners: Mapping[str, Runner]) -> Submission:
    """Check a submission that came from elsewhere: of it only the spec and the bundle are believed.

    Raises:
        SpecError, CudaRequired: As :func:`prepare` does.
    """
    return _check(submission.spec, submission.bundle, require_runner(submission.spec.runner, runners))


def training_command(
    runner: Runner,
    *,
    script: Path,
    flags: Mapping[str, FlagValue],
    env_id: str,
    seed: int,
    interpreter: str | Path | None = None,
) -> list[str]:
    """Return the command that trains: the interpreter, *script* and its flags.

    Raises:
        SpecError: The script cannot be read.
    """
    report = runner.inspect(read_source(script), path=script.name)
    words = runner.command_flags(report, flags, env_id=env_id, seed=seed)
    return [str(interpreter or runner.interpreter()), str(script), *words]


def command(submission: Submission, *, runner: Runner, script: Path, interpreter: Path) -> list[str]:
    """Return the command of the submission's own run, as it is shown before it starts."""
    spec = submission.spec
    words = runner.command_flags(submission.report, submission.flags, env_id=spec.env_id, seed=spec.seed)
    return [str(interpreter), str(script), *words]


def total_steps(report: ScriptReport, flags: Mapping[str, FlagValue]) -> int | None:
    """Return how many steps a script takes that is given *flags*; None where it has no flag that tells."""
    values = {argument.name: argument.default for argument in report.arguments} | dict(flags)
    given = (values.get(name) for name in TOTALS)
    return next((int(value) for value in given if isinstance(value, int | float)), None)
