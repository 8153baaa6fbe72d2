"""What a script can do under arena_ray: read from its source, and shown by a short training where one is wanted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arena_ray.harness import mainloop
from arena_ray.model.errors import SpecError
from arena_ray.model.paths import Workspace
from arena_ray.model.settings import current_workspace
from arena_ray.model.spec import FlagValue, Strict
from arena_ray.model.states import Resume
from arena_ray.runner.arguments import check_flags
from arena_ray.runner.bundle import Bundle
from arena_ray.runner.environment import installed_modules
from arena_ray.runner.installation import interpreter_for
from arena_ray.runner.metric_tags import Metric, compare_metrics, read_metrics
from arena_ray.runner.preflight import inspect_bundle, read_script, training_command
from arena_ray.runner.probe import PROBE_TIMEOUT_S, probe_environment, run_probe, shortened
from arena_ray.runner.protocol import MainLoop, Runner, ScriptArgument, ScriptReport
from arena_ray.runner.source import parse_source
from arena_ray.runner.verdict import Subject, Verdict
from arena_ray.runner.versions import versions_in

NOT_PROBED = "nobody has looked: `arena runners inspect` probes it"
_SEED = 1


class Hyperparameter(Strict):
    """A flag of the script, and whether it can be set while the script trains."""

    name: str
    type: str
    default: FlagValue = None
    """None where it is computed, or there is none."""
    is_live: bool
    why_not: str | None = None


class Needs(Strict):
    """What a script asks of the place where it runs."""

    env_id: str | None
    """The environment that was asked about: given, or the script's own default."""
    imports: dict[str, bool]
    """Modules that it imports, and whether the interpreter has them. Python's own are left out."""
    cuda: bool
    """Whether it cannot do without CUDA."""
    registers_environments: bool
    """Whether it registers environments of its own."""


class CapabilityReport(Strict):
    """What a script can do. What nobody has seen counts as not there."""

    script: str
    runner: str
    bundle: str
    interpreter: str
    main_loop: MainLoop | None
    other_loops: tuple[MainLoop, ...]
    """Loops that train too; they run, but no boundary lies in them."""
    hyperparameters: tuple[Hyperparameter, ...]
    metrics: tuple[Metric, ...]
    needs: Needs
    resume: Resume
    resume_reason: str | None
    policy: str | None
    """Kind of the policy that checkpoints describe."""
    policy_reason: str | None
    """Why there is none."""
    verdict: Verdict | None = None
    """What the probe has found; None without one."""


def inspect_capabilities(
    script: str,
    *,
    runner: Runner,
    base: Path | None = None,
    workspace: Workspace | None = None,
    env_id: str | None = None,
    interpreter: Path | None = None,
    probe: bool = True,
    timeout_s: float = PROBE_TIMEOUT_S,
) -> CapabilityReport:
    """Return what *script* can do.

    Args:
        script: Name of one that the runner ships or was set up for, or a path.
        runner: The family that it belongs to.
        base: Where a relative path begins; the working directory by default.
        workspace: Where the runners' own environments are; by default the one of this process.
        env_id: The environment; the script's own default where none is given.
        interpreter: Python to ask and to probe with, instead of the runner's.
        probe: Whether to train for a moment; without, all that needs it is unknown.
        timeout_s: Seconds that a probe may take.

    Raises:
        ScriptNotFound: There is no such script.
        NotSetUp: It is an original script, and the runner's environment was not made.
        SpecError: It cannot be read, or needs flags that have no default.
        ArenaError: The interpreter does not run.
    """
    workspace = workspace or current_workspace()
    bundle = read_script(script, runner, base=base or Path.cwd(), workspace=workspace)
    report = inspect_bundle(bundle, runner, script=script)
    python = str(interpreter or interpreter_for(runner, script, workspace=workspace))
    env_id = env_id or _default_environment(report)
    found = None
    if probe and report.main_loop is not None:
        found = _probe(bundle, report, runner, env_id=env_id, python=python, timeout_s=timeout_s)
    return _assemble(script, bundle, report, runner=runner, env_id=env_id, python=python, verdict=found)


def subject_of(bundle: str, *, env_id: str, interpreter: str) -> Subject:
    """Return what a verdict is about.

    Raises:
        ArenaError: The interpreter does not run.
    """
    return Subject(bundle=bundle, env_id=env_id, interpreter=interpreter, versions=versions_in(interpreter))


def _probe(
    bundle: Bundle, report: ScriptReport, runner: Runner, *, env_id: str | None, python: str, timeout_s: float
) -> Verdict:
    given = shortened(report.arguments)
    try:
        flags = check_flags(report.arguments, script=bundle.entry, hyperparameters={}, flags=given)
    except SpecError as exc:
        raise SpecError(f"{exc}; a probe cannot give it: without one (--no-probe) the source is read") from exc
    with tempfile.TemporaryDirectory(prefix="arena-probe-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        path = bundle.materialise(folder / "bundles")
        command = training_command(
            runner, script=path, flags=flags, env_id=env_id or "", seed=_SEED, interpreter=python
        )
        subject = subject_of(bundle.digest(), env_id=env_id or "", interpreter=python)
        return run_probe(
            command,
            subject,
            env=bundle.add_modules(probe_environment(os.environ, needs_cuda=report.requires_cuda), script=path),
            folder=folder,
            flags=flags,
            timing_tags=runner.timing_tags,
            timeout_s=timeout_s,
        )


def _assemble(
    script: str,
    bundle: Bundle,
    report: ScriptReport,
    *,
    runner: Runner,
    env_id: str | None,
    python: str,
    verdict: Verdict | None,
) -> CapabilityReport:
    metrics = read_metrics(bundle.files.values(), path=script)
    described: Mapping[str, Any] = verdict.policy if verdict else {}
    policy = (described.get("policy") or {}).get("kind")
    resume, reason = _resume(report, verdict, runner)
    return CapabilityReport(
        script=script,
        runner=runner.name,
        bundle=bundle.digest(),
        interpreter=python,
        main_loop=report.main_loop,
        other_loops=_other_loops(bundle.files[bundle.entry], report.main_loop, path=script),
        hyperparameters=tuple(_hyperparameter(one, report) for one in report.arguments),
        metrics=compare_metrics(metrics, verdict.tags) if verdict else metrics,
        needs=Needs(
            env_id=env_id,
            imports=installed_modules(report.imports, interpreter=python),
            cuda=report.requires_cuda,
            registers_environments=report.registers_environments,
        ),
        resume=resume,
        resume_reason=reason,
        policy=policy,
        policy_reason=None if policy else described.get("missing") or (reason if verdict else NOT_PROBED),
        verdict=verdict,
    )


def expected(runner: Runner) -> Resume:
    """Return how scripts of *runner* resume as far as anyone can say who has not probed: never ``exact``."""
    promised = Resume(runner.capabilities.resume)
    return Resume.WARM if promised is Resume.EXACT else promised


def _resume(report: ScriptReport, verdict: Verdict | None, runner: Runner) -> tuple[Resume, str | None]:
    if report.main_loop is None:
        return Resume.NONE, "no loop of it trains"
    return (verdict.resume, verdict.reason) if verdict else (expected(runner), NOT_PROBED)


def _default_environment(report: ScriptReport) -> str | None:
    default = next((one.default for one in report.arguments if one.name == "env_id"), None)
    return default if isinstance(default, str) else None


def _hyperparameter(argument: ScriptArgument, report: ScriptReport) -> Hyperparameter:
    why_not = None
    if argument.overwritten_line is not None:
        why_not = f"line {argument.overwritten_line} replaces whatever is given"
    elif report.main_loop is None:
        why_not = "there is no main loop at whose passes it could be set"
    elif argument.fixed_line is not None:
        why_not = f"line {argument.fixed_line} {argument.fixed_why}"
    elif not report.holders:
        why_not = "the main loop sees no variable that holds the flags"
    return Hyperparameter(
        name=argument.name,
        type=argument.type,
        default=argument.default,
        is_live=why_not is None,
        why_not=why_not,
    )


def _other_loops(source: str, main_loop: MainLoop | None, *, path: str) -> tuple[MainLoop, ...]:
    found = [MainLoop(*one) for one in mainloop.candidates(parse_source(source, path=path))]
    return tuple(one for one in found if one != main_loop)
