"""``arena runners inspect``: what a script can do, read from its source and shown by a short training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arena_ray.cli.access import workspace
from arena_ray.cli.output import ABSENT, output_options, print_facts, print_json, print_table

if TYPE_CHECKING:
    from arena_ray.runner.capability import CapabilityReport, Hyperparameter
    from arena_ray.runner.metric_tags import Metric
    from arena_ray.runner.protocol import MainLoop, Runner

_DEFAULT_RUNNER = "cleanrl"
_SEEN = {True: "yes", False: "not in the probe", None: ABSENT}


@click.command()
@click.argument("script")
@click.option("--env-id", metavar="ID", help="The environment; the script's own default where none is given.")
@click.option("--runner", metavar="NAME", help="The runner; the one that ships the script, or cleanrl, by default.")
@click.option("--python", type=click.Path(path_type=Path), help="The Python that has what the script needs.")
@click.option("--no-probe", is_flag=True, help="Only read the source; start nothing.")
@output_options
def inspect(
    script: str, env_id: str | None, runner: str | None, python: Path | None, no_probe: bool, as_json: bool
) -> None:
    """Tell what a script can do: main loop, flags, metrics, resume, policy.

    The script trains for a moment, is saved, and goes on in a new process: resume is exact only if nothing differs.
    The finding is kept, and runs of the script in that environment say so.
    """
    from arena_ray.runner.capability import inspect_capabilities
    from arena_ray.runner.discovery import load_runners
    from arena_ray.runner.preflight import require_runner
    from arena_ray.runner.verdict import VerdictFiles

    runners = load_runners().runners
    family = require_runner(runner or _runner_of(script, runners), runners)
    report = inspect_capabilities(script, runner=family, env_id=env_id, interpreter=python, probe=not no_probe)
    if report.verdict is not None:
        VerdictFiles(workspace().probes).keep(report.verdict)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _runner_of(script: str, runners: Mapping[str, Runner]) -> str:
    return next((name for name, one in runners.items() if script in one.scripts()), _DEFAULT_RUNNER)


def _print(report: CapabilityReport) -> None:
    print_facts(_facts(report))
    click.echo()
    print_table([_flag_row(one) for one in report.hyperparameters], empty="no flags that could be read")
    click.echo()
    print_table([_metric_row(one) for one in report.metrics], empty="no metrics that could be read")


def _facts(report: CapabilityReport) -> Iterator[tuple[str, str]]:
    yield "script", f"{report.runner} {report.script} ({report.bundle[:12]})"
    yield "main loop", _loop(report.main_loop) if report.main_loop else "none: no loop steps, trains or updates"
    yield from (("also trains", f"{_loop(one)}; no boundary lies in it") for one in report.other_loops)
    yield "resume", report.resume.value + (f": {report.resume_reason}" if report.resume_reason else "")
    if report.verdict is not None and report.verdict.steps is not None:
        saved, later = report.verdict.steps
        yield "probed", f"saved at step {saved}, compared there and at step {later}, with {_assignments(report)}"
    yield "policy", report.policy or f"none: {report.policy_reason}"
    yield "environment", report.needs.env_id or ABSENT
    missing = [name for name, is_there in report.needs.imports.items() if not is_there]
    yield "imports", ", ".join(report.needs.imports) or ABSENT
    if missing:
        yield "missing", f"{', '.join(missing)} in {report.interpreter}"
    yield "GPU", "needs CUDA" if report.needs.cuda else "can do without"


def _loop(loop: MainLoop) -> str:
    return f"line {loop.line}: {loop.kind}, in {'the module' if loop.scope == '<module>' else loop.scope}"


def _assignments(report: CapabilityReport) -> str:
    flags = report.verdict.flags if report.verdict else {}
    return " ".join(f"{name}={value}" for name, value in flags.items()) or "its own flags"


def _flag_row(one: Hyperparameter) -> dict[str, str]:
    return {
        "flag": one.name,
        "type": one.type,
        "default": ABSENT if one.default is None else str(one.default),
        "live": "yes" if one.is_live else f"no: {one.why_not}",
    }


def _metric_row(one: Metric) -> dict[str, str]:
    return {
        "metric": one.tag or "computed",
        "line": ABSENT if one.line is None else str(one.line),
        "seen": _SEEN[one.is_seen],
    }
